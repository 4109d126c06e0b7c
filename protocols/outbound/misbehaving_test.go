package outbound_test

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"rookery/protocols/dns"
	"rookery/protocols/outbound"
	"rookery/protocols/outbound/session"
	"rookery/storage/command"
	"rookery/storage/queue"
)

// misbehaving is another system that does on each connection what a test wants,
// until the connection ends.
func misbehaving(t *testing.T, serve func(net.Conn, *bufio.Reader)) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer conn.Close(); serve(conn, bufio.NewReader(conn)) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return netip.MustParseAddrPort(l.Addr().String())
}

// endless writes a text again and again, every now and then or without a pause.
func endless(text string, every time.Duration) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, _ *bufio.Reader) {
		tick := time.NewTicker(max(every, time.Nanosecond))
		defer tick.Stop()
		for {
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
			if every > 0 {
				<-tick.C
			}
		}
	}
}

// answering is an SMTP server that answers a command as told, and the others well;
// "" stays silent, "die" closes.
func answering(replies map[string]string, took *atomic.Int64) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, in *bufio.Reader) {
		io.WriteString(conn, "220 peer ESMTP\r\n")
		content := false
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			verb := strings.ToUpper(strings.Fields(line + " x")[0])
			if content && line != ".\r\n" {
				continue
			}
			content = false
			reply, told := replies[verb]
			switch {
			case told && reply == "die":
				took.Add(1)
				return
			case told && reply == "":
				io.Copy(io.Discard, in)
				return
			case told:
			case verb == "EHLO":
				reply = "250-peer\r\n250 STARTTLS\r\n"
			case verb == "DATA":
				reply, content = "354 go on\r\n", true
			case verb == "STARTTLS":
				reply = "220 2.0.0 go on\r\n"
			default:
				reply = "250 2.0.0 fine\r\n"
			}
			io.WriteString(conn, reply)
			if verb == "STARTTLS" {
				io.Copy(io.Discard, in) // and no TLS ever
				return
			}
		}
	}
}

// Whatever other systems do, what is for them waits with a reason, costs a bounded
// time, and arrives once they are well; the mail for others goes out meanwhile.
func TestMisbehavingPeers(t *testing.T) {
	var took atomic.Int64
	clear := map[string]string{"EHLO": "250 peer\r\n"}
	with := func(verb, reply string) map[string]string {
		return map[string]string{"EHLO": clear["EHLO"], verb: reply}
	}
	cases := map[string]struct {
		serve  func(net.Conn, *bufio.Reader)
		policy bool // TLS is owed
		stage  string
	}{
		"drips":             {serve: endless("2", time.Second), stage: "banner"},
		"endless lines":     {serve: endless("220-x\r\n", 0), stage: "banner"},
		"endless line":      {serve: endless("220 x", 0), stage: "banner"},
		"silent":            {serve: func(conn net.Conn, _ *bufio.Reader) { io.Copy(io.Discard, conn) }, stage: "banner"},
		"large reply":       {serve: answering(map[string]string{"EHLO": "250 " + strings.Repeat("x", 1<<20) + "\r\n"}, &took), stage: "EHLO"},
		"many lines":        {serve: answering(map[string]string{"EHLO": strings.Repeat("250-X\r\n", 1<<17)}, &took), stage: "EHLO"},
		"TLS that hangs":    {serve: answering(nil, &took), policy: true, stage: "STARTTLS"},
		"silent at RCPT":    {serve: answering(with("RCPT", ""), &took), stage: "RCPT"},
		"silent at DATA":    {serve: answering(with("DATA", ""), &took), stage: "DATA"},
		"dies at the dot":   {serve: answering(with(".", "die"), &took), stage: "end of data"},
		"silent at the dot": {serve: answering(with(".", ""), &took), stage: "end of data"},
	}
	r := newRig(t, func(r *rig) {
		short := 400 * time.Millisecond
		r.o.Connect = &outbound.Hosts{Find: r, Hello: "mail.example.com", Options: session.Options{Timeouts: session.Timeouts{
			Banner: short, Hello: short, Handshake: short, Mail: short, Rcpt: short, Data: short, End: short, Quit: short,
		}}}
	})
	r.user("anna", 2)
	far := newSink(t)
	r.at("far.example", far)
	o := &owed{}
	o.policy.Store(dane(dns.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: make([]byte, 32)}))
	stages := map[string]string{} // by recipient
	for name, c := range cases {
		domain := strings.ToLower(strings.ReplaceAll(name, " ", "-")) + ".example"
		h := outbound.Host{Peer: session.Peer{Name: "mx." + domain, Addr: misbehaving(t, c.serve)}}
		if c.policy {
			h.Policy = o.find
		}
		r.hosts[domain] = []outbound.Host{h}
		stages["x@"+domain] = c.stage
		r.send("anna@example.com", "x@"+domain)
	}
	for range 20 {
		r.send("anna@example.com", "y@far.example")
	}
	r.run()
	r.eventually("the mail for those who are well", 0, func() bool { return len(far.got()) == 20 })
	heard := map[string]queue.Heard{}
	r.eventually("an attempt at all others", 0, func() bool {
		for _, g := range r.groups() {
			if err := r.c.List(t.Context(), g, command.ItemID{}, func(e outbound.Entry) bool {
				if e.Attempts > 0 {
					heard[e.To] = e.Last
				}
				return true
			}); err != nil {
				t.Fatal(err)
			}
		}
		return len(heard) == len(cases)
	})
	for to, stage := range stages {
		if h := heard[to]; h.Stage != stage || h.Code != 0 || h.Text == "" || len(h.Text) > 1000 {
			t.Errorf("%s: heard at %s: %d %.300q, want the stage %s", to, h.Stage, h.Code, h.Text, stage)
		}
	}
	for to := range stages {
		r.rehost(strings.TrimPrefix(to, "x@"), far)
	}
	r.eventually("the rest arrives", time.Second, func() bool { return r.owed() == 0 })
	times := map[string]int{}
	for _, m := range far.got() {
		times[m.to[0]]++
	}
	for to := range stages {
		if times[to] != 1 {
			t.Errorf("%s arrived %d times", to, times[to])
		}
	}
	if took.Load() == 0 {
		t.Error("nobody died with a message in its hands: the test proves little")
	}
}
