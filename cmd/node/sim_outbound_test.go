package node

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery/cmd/node/adminapi"
)

// elsewhere is another system, at an address of its own. It takes everything but
// what is for people whose names begin with bad.
type elsewhere struct {
	mu    sync.Mutex
	times map[string][]time.Time // when each message came, by its subject
	// how it behaves: "elsewhere away" ends every connection with 421, "refused for
	// now" is 451 to every recipient, "dies after the dot" takes a message and ends
	// the connection without a reply; else it takes mail.
	how string
	// silent counts the messages it took without a reply.
	silent int
}

const elsewhereAt = "10.0.9.9:25"

func (c *sim) elsewhere() *elsewhere {
	e := &elsewhere{times: map[string][]time.Time{}}
	l := c.net.Listen(elsewhereAt)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer conn.Close(); e.serve(conn) })
		}
	})
	c.t.Cleanup(func() { l.Close(); wg.Wait() })
	return e
}

func (e *elsewhere) serve(conn net.Conn) {
	conn.SetDeadline(time.Now().Add(10 * time.Minute))
	in := bufio.NewReader(conn)
	if e.behaves("elsewhere away") {
		fmt.Fprint(conn, "421 4.3.2 closed\r\n")
		return
	}
	fmt.Fprint(conn, "220 elsewhere.example ESMTP\r\n")
	taken := 0
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		reply := "250 2.0.0 OK"
		switch verb := strings.ToUpper(strings.Fields(line + " x")[0]); {
		case verb == "EHLO":
			reply = "250-elsewhere.example\r\n250 PIPELINING"
		case verb == "MAIL":
			taken = 0
		case verb == "RCPT" && e.behaves("refused for now"):
			reply = "451 4.7.1 come again"
		case verb == "RCPT" && strings.Contains(line, "<bad"):
			reply = "550 5.1.1 no such user"
		case verb == "RCPT":
			taken++
		case verb == "DATA" && taken == 0:
			reply = "554 5.5.1 no recipients"
		case verb == "DATA":
			fmt.Fprint(conn, "354 go on\r\n")
			subject, err := readSubject(in)
			if err != nil {
				return
			}
			e.mu.Lock()
			e.times[subject] = append(e.times[subject], time.Now())
			died := e.how == "dies after the dot"
			if died {
				e.silent++
			}
			e.mu.Unlock()
			if died {
				return
			}
		case verb == "QUIT":
			fmt.Fprint(conn, "221 2.0.0 bye\r\n")
			return
		}
		fmt.Fprint(conn, reply+"\r\n")
	}
}

// readSubject reads a message to its final dot.
func readSubject(in *bufio.Reader) (subject string, err error) {
	for {
		line, err := in.ReadString('\n')
		if err != nil || line == ".\r\n" {
			return subject, err
		}
		if s, ok := strings.CutPrefix(line, "Subject: "); ok {
			subject = strings.TrimSpace(s)
		}
	}
}

func (e *elsewhere) behave(how string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.how = how
}

func (e *elsewhere) behaves(how string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.how == how
}

// copies are when a message came.
func (e *elsewhere) copies(subject string) []time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.times[subject])
}

// queued counts what is owed to other systems.
func (x *simNode) queued(c *sim) int {
	l, err := x.couriers.List(c.t.Context(), adminapi.QueueFilter{}, 10_000)
	if err != nil {
		return -1
	}
	return len(l.Entries) + l.More
}

// Mail for another system goes out through every machine while the power of one
// after the other is cut: what was accepted arrives, doubles only where a courier
// died in the middle, and what is refused comes back once.
func TestSimMailToOtherSystems(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		t := c.t
		far := c.elsewhere()
		set, _, err := c.nodes[0].settings.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		set.Outbound.Smarthost = elsewhereAt
		c.put("outbound.smarthost", set)
		accepted := map[string]int{} // subject, sender
		refused := make([]int, len(c.ledger.people))
		unsure := make([]int, len(refused)) // whose answer was lost
		n := 0
		send := func(x *simNode) {
			person := n % len(refused)
			subject := fmt.Sprintf("message %d", n)
			n++
			if c.submitted(x, person, subject, fmt.Sprintf("good%d@far.example", n), fmt.Sprintf("bad%d@far.example", n)) == "250" {
				accepted[subject] = person
				refused[person]++
			} else {
				unsure[person]++
			}
		}
		for round := range 3 {
			dies := c.nodes[round]
			for range 4 {
				for _, x := range c.nodes {
					send(x)
				}
			}
			if round == 1 { // and the other system is away for a while
				far.behave("elsewhere away")
			}
			c.powerCut(dies)
			for range 2 {
				for _, x := range c.nodes {
					if x != dies {
						send(x)
					}
				}
			}
			time.Sleep(20 * time.Second)
			far.behave("")
			c.on(dies)
			c.catchesUp(dies)
		}
		c.until(30*time.Minute, "the queue is empty", func() bool { return c.nodes[0].queued(c) == 0 })
		doubles := 0
		for subject := range accepted {
			switch times := len(far.copies(subject)); {
			case times == 0:
				t.Errorf("%s was accepted and has not arrived", subject)
			case times > 1:
				doubles += times - 1
			}
		}
		if len(accepted) < n/2 {
			t.Errorf("%d of %d messages were accepted: the test proves little", len(accepted), n)
		}
		t.Logf("%d of %d accepted, %d doubles", len(accepted), n, doubles)
		if doubles > 9 {
			t.Errorf("%d doubles from three power cuts", doubles)
		}
		for i, p := range c.ledger.people {
			g, err := c.nodes[0].accounts.Group(t.Context(), p.account)
			if err != nil {
				t.Fatal(err)
			}
			m := c.nodes[0].groups.Machine(g)
			c.until(time.Minute, "the notifications are here", func() bool { return inboxOf(m, p.account) >= refused[i] })
			if got := inboxOf(m, p.account); got > refused[i]+unsure[i] {
				t.Errorf("%s has %d notifications of %d messages, and of %d that may have been accepted", login(i), got, refused[i], unsure[i])
			}
		}
		c.traced(n)
	})
}

// traced asks each machine what became of every message for elsewhere.
func (c *sim) traced(n int) {
	c.t.Helper()
	for _, x := range c.nodes {
		got, err := x.trace.Trace(c.t.Context(), adminapi.TraceFilter{Recipient: "@far.example", Limit: 1000})
		if err != nil || len(got.Silent) > 0 {
			c.t.Fatalf("%v, silent: %v", err, got.Silent)
		}
		if len(got.Messages) < n/2 || len(got.Messages) > n {
			c.t.Errorf("the trace has %d of %d messages", len(got.Messages), n)
		}
		for i := range got.Messages {
			m := &got.Messages[i]
			times := map[string]int{}
			for j, e := range m.Events {
				times[e.Event]++
				if j > 0 && e.Time.Before(m.Events[j-1].Time) {
					c.t.Errorf("%s: %s comes before what came before it", m.ID, e.Event)
				}
				if a := e.Attempt; e.Event == "sent" && (a == nil || a.Addr != elsewhereAt || a.Code != 250 || !strings.HasPrefix(e.To, "good")) {
					c.t.Errorf("%s: sent to %s: %+v", m.ID, e.To, e.Attempt)
				}
				if e.Event == "accepted" && (!strings.HasPrefix(e.User, "user") || e.Node == "" || e.Client == "" || e.Protocol != "ESMTPSA") {
					c.t.Errorf("%s: %+v", m.ID, e)
				}
			}
			if times["accepted"] != 1 || times["sent"] != 1 || times["failed"] != 1 || times["told"] != 1 || len(m.To) != 2 {
				c.t.Errorf("%s for %v: %v", m.ID, m.To, times)
			}
		}
	}
}
