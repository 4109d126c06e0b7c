package node

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery/cmd/node/settings"
)

// queueStorm is what was sent while machines broke, and when they did.
type queueStorm struct {
	*sim
	far  *elsewhere
	pace time.Duration // between two messages of one sender

	mu       sync.Mutex
	left     int // messages to send
	sent     []stormMessage
	answered map[string]int // final answers, by code
	broken   []window
}

// stormMessage is a message to somebody elsewhere, mostly to people here too.
type stormMessage struct {
	from     int
	here     []int
	bad      bool // for an address as well that the other system refuses
	accepted bool // false is that nobody knows
}

// window is a time in which something was broken.
type window struct{ began, ended time.Time }

func subjectOf(n int) string { return fmt.Sprintf("message %d", n) }

// run sends through whichever machine, until all are sent.
func (s *queueStorm) run(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 5))
	for {
		m := stormMessage{from: rng.IntN(testPeople), bad: rng.IntN(10) == 0}
		if rng.IntN(4) > 0 {
			m.here = rng.Perm(testPeople)[:1+rng.IntN(3)]
		}
		s.mu.Lock()
		if s.left == 0 {
			s.mu.Unlock()
			return
		}
		s.left--
		n := len(s.sent)
		s.sent = append(s.sent, m)
		s.mu.Unlock()
		to := []string{fmt.Sprintf("good%d@far.example", n)}
		if m.bad {
			to = append(to, fmt.Sprintf("bad%d@far.example", n))
		}
		for _, p := range m.here {
			to = append(to, login(p))
		}
		said := s.submitted(s.nodes[rng.IntN(len(s.nodes))], m.from, subjectOf(n), to...)
		s.mu.Lock()
		s.sent[n].accepted = said == "250"
		s.answered[said]++
		s.mu.Unlock()
		time.Sleep(s.pace/2 + time.Duration(rng.Int64N(int64(s.pace))))
	}
}

// submitted has a person send a message, and gives the code that ended it; none
// where nobody knows.
func (c *sim) submitted(x *simNode, person int, subject string, to ...string) (code string) {
	plain := base64.StdEncoding.EncodeToString([]byte("\x00" + login(person) + "\x00secret"))
	lines := []string{"EHLO a.example", "AUTH PLAIN " + plain, "MAIL FROM:<" + login(person) + ">"}
	for _, a := range to {
		lines = append(lines, "RCPT TO:<"+a+">")
	}
	lines = append(lines, "DATA", "From: "+login(person)+"\r\nSubject: "+subject+"\r\n\r\nhi\r\n.")
	all := c.converse(x, 465, lines...)
	for i, said := range all {
		// A message for fewer than all of its recipients is not one that the test knows.
		if i > 0 && len(said) > 3 && said[0] != '2' && said[:3] != "354" {
			return said[:3]
		}
	}
	if last := all[len(all)-1]; len(all) == len(lines)+1 && len(last) > 3 {
		return last[:3]
	}
	return ""
}

// storm breaks one thing after the other until all is sent, with a calm after each.
func (s *queueStorm) storm() {
	kinds := []string{"power cut", "cut off", "restart", "mute", "elsewhere away", "deaf", "dies after the dot", "refused for now"}
	for round := 0; ; round++ {
		s.mu.Lock()
		left := s.left
		s.mu.Unlock()
		if left == 0 && round >= len(kinds) {
			return
		}
		if round%2 == 0 {
			s.beginMove(s.rng.IntN(testPeople))
		}
		w := window{began: time.Now()}
		s.breaks(kinds[round%len(kinds)], s.nodes[s.rng.IntN(len(s.nodes))])
		s.movesEnd()
		w.ended = time.Now()
		s.mu.Lock()
		s.broken = append(s.broken, w)
		s.mu.Unlock()
		time.Sleep(15 * time.Second)
	}
}

// breaks breaks one thing for some seconds, and waits until it is mended.
func (s *queueStorm) breaks(kind string, x *simNode) {
	long := 3*time.Second + time.Duration(s.rng.Int64N(int64(9*time.Second)))
	switch kind {
	case "power cut":
		s.powerCut(x)
		time.Sleep(long)
		s.on(x)
	case "restart":
		s.off(x)
		time.Sleep(long)
		s.on(x)
	case "cut off":
		s.part(x, true)
		time.Sleep(long)
		s.part(x, false)
	case "mute":
		s.mute(x, true)
		time.Sleep(long)
		s.mute(x, false)
	case "deaf":
		s.deafen(x, true)
		time.Sleep(long)
		s.deafen(x, false)
	default:
		s.far.behave(kind)
		time.Sleep(long)
		s.far.behave("")
	}
	s.catchesUp(x)
}

// Mail to other systems and to people here, mixed, goes through three machines
// while they and the other system break in every way and accounts move: what was
// accepted arrives in each place, here exactly once; doubles elsewhere are of
// copies taken while something was broken; only what is refused for good comes
// back, once. ROOKERY_QUEUE sets how many messages, ROOKERY_SEED what breaks when.
func TestSimQueueInAStorm(t *testing.T) {
	count, seed := number(t, "ROOKERY_QUEUE", 250), uint64(number(t, "ROOKERY_SEED", int(time.Now().UnixNano()&0x7fffffff)))
	t.Logf("%d messages, ROOKERY_SEED=%d", count, seed)
	bubble(t, nil, func(c *sim) {
		c.rng = rand.New(rand.NewPCG(seed, 1))
		s := &queueStorm{sim: c, far: c.elsewhere(), left: count, answered: map[string]int{}}
		s.pace = 3 * time.Second
		if count > 1000 {
			s.pace = 600 * time.Millisecond
		}
		s.configure()
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() { s.run(seed + uint64(i)) })
		}
		s.storm()
		wg.Wait()
		for end := time.Now().Add(3 * time.Hour); c.nodes[0].queued(c) != 0; time.Sleep(5 * time.Second) {
			if time.Now().After(end) {
				c.t.Fatalf("after 3 hours %d recipients wait", c.nodes[0].queued(c))
			}
		}
		time.Sleep(time.Minute) // notifications are filed
		s.judgeElsewhere()
		s.judgeHere()
	})
}

func (s *queueStorm) configure() {
	set, _, err := s.nodes[0].settings.Read(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	set.Outbound.Smarthost = elsewhereAt
	// The rates are of other tests: this one sends what a company does.
	set.Submission = settings.Submission{RecipientsAnHour: 1_000_000, RecipientsOf: []string{}, Surprise: 1_000_000}
	s.put("outbound.smarthost", set)
}

// judgeElsewhere wants each accepted message in the other system, and a second
// copy only where the first was taken while something was broken.
func (s *queueStorm) judgeElsewhere() {
	accepted, doubles := 0, 0
	for n, m := range s.sent {
		if m.accepted {
			accepted++
		}
		copies := s.far.copies(subjectOf(n))
		if m.accepted && len(copies) == 0 {
			s.t.Errorf("%s was accepted and has not arrived elsewhere", subjectOf(n))
		}
		for i := range max(len(copies)-1, 0) {
			doubles++
			if !s.wasBroken(copies[i]) {
				s.t.Errorf("%s came again at %v after %v, when nothing was broken", subjectOf(n), copies[i+1], copies[i])
			}
		}
	}
	for code, times := range s.answered {
		if strings.HasPrefix(code, "5") {
			s.t.Errorf("%d messages were refused with %s", times, code)
		}
	}
	s.t.Logf("%d of %d accepted (%v) in %d rounds; %d doubles elsewhere, where %d were taken without a reply", accepted, len(s.sent),
		s.answered, len(s.broken), doubles, s.far.silent)
	if accepted < len(s.sent)/2 {
		s.t.Errorf("%d of %d messages were accepted: the test proves little", accepted, len(s.sent))
	}
}

// wasBroken reports whether something was, or had been within a few seconds:
// leaders change after what changed them.
func (s *queueStorm) wasBroken(at time.Time) bool {
	for _, w := range s.broken {
		if at.After(w.began.Add(-time.Second)) && at.Before(w.ended.Add(5*time.Second)) {
			return true
		}
	}
	return false
}

var (
	stormSubject = regexp.MustCompile(`(?m)^Subject: (.*?)\r?$`)
	stormReturn  = regexp.MustCompile(`(?m)^Final-Recipient: rfc822; *(.*?)@far\.example\r?$`)
)

// judgeHere wants each accepted message once with each of its people, and one
// notification of each address that was refused elsewhere, of no other.
func (s *queueStorm) judgeHere() {
	returned := make([]map[string]int, testPeople) // by person and local part
	for p := range testPeople {
		im := s.login(s.nodes[p%len(s.nodes)], p)
		im.do("SELECT INBOX")
		subjects := count(stormSubject, im.do("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
		returned[p] = count(stormReturn, im.do("FETCH 1:* (BODY.PEEK[TEXT])"))
		im.conn.Close()
		for n, m := range s.sent {
			got, mine := subjects[subjectOf(n)], slices.Contains(m.here, p)
			switch {
			case !mine && got > 0:
				s.t.Errorf("%s has %s, which is for others", login(p), subjectOf(n))
			case mine && m.accepted && got != 1, got > 1:
				s.t.Errorf("%s has %s %d times; accepted %v", login(p), subjectOf(n), got, m.accepted)
			}
		}
	}
	for n, m := range s.sent {
		bad := fmt.Sprintf("bad%d", n)
		got := returned[m.from][bad]
		if m.accepted && m.bad && got != 1 || got > 1 {
			s.t.Errorf("%s was told %d times that %s is refused; accepted %v", login(m.from), got, bad, m.accepted)
		}
		delete(returned[m.from], bad)
	}
	for p, rest := range returned {
		if len(rest) > 0 {
			s.t.Errorf("%s was told of what is not refused, or was another's: %v", login(p), rest)
		}
	}
}

// count is how often each text is found.
func count(what *regexp.Regexp, lines []string) map[string]int {
	times := map[string]int{}
	for _, found := range what.FindAllStringSubmatch(strings.Join(lines, ""), -1) {
		times[found[1]]++
	}
	return times
}
