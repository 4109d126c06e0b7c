package smtp

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"rookery/protocols/policy"
)

// witness notes what it is asked and answers what it was told to.
type witness struct {
	mu      sync.Mutex
	asked   []string
	answers map[string]policy.Verdict
	ended   chan struct{}
}

func (w *witness) Begin(policy.Connection) policy.Transaction { return w }

func (w *witness) note(what, about string) policy.Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, what+" "+about)
	return w.answers[what]
}

func (w *witness) OnConnect(context.Context) policy.Verdict { return w.note("connect", "") }
func (w *witness) OnHello(_ context.Context, name string) policy.Verdict {
	return w.note("hello", name)
}
func (w *witness) OnMail(_ context.Context, s policy.Sender) policy.Verdict {
	return w.note("mail", s.Address.Domain)
}
func (w *witness) OnRecipient(_ context.Context, r policy.Recipient) policy.Verdict {
	return w.note("recipient", r.Address.Local)
}
func (w *witness) OnMessage(_ context.Context, m *policy.Message) policy.Verdict {
	return w.note("message", string(m.Head()[:4]))
}
func (w *witness) OnEnd() {
	w.note("end", "")
	close(w.ended)
}

// judged is a server whose chain is a witness, and a client of it.
func judged(t *testing.T, answers map[string]policy.Verdict) (*witness, *rig, *client) {
	w := &witness{answers: answers, ended: make(chan struct{})}
	r := newRig(t, MX, func(o *Options) { o.Policy.MX = policy.Chain{w} })
	c := r.dial()
	c.want("220 ")
	return w, r, c
}

func TestPolicyIsAskedInTheOrderOfSMTP(t *testing.T) {
	w, r, c := judged(t, map[string]policy.Verdict{"message": {Add: []policy.Field{{Name: "X-Judged", Value: "yes"}}}})
	c.do("EHLO me", "250-")
	c.envelope("anna@example.com", "bert@example.com")
	c.do("RCPT TO:<nobody@example.com>", "550 ")
	c.do("RCPT TO:<a@elsewhere.example>", "250 ")
	c.do("DATA", "354 ")
	c.do("a: b\r\n\r\nx\r\n.", "250 ")
	c.do("QUIT", "221 ")
	<-w.ended
	want := []string{"connect ", "hello me", "mail example.org", "recipient anna", "recipient bert", "recipient a", "message a: b", "end "}
	if !slices.Equal(w.asked, want) {
		t.Errorf("asked %q, want %q", w.asked, want)
	}
	if got := r.store.taken(); len(got) != 1 || !strings.Contains(got[0], "\r\nX-Judged: yes\r\na: b\r\n") {
		t.Errorf("%q", got)
	}
}

func TestVerdictsAreReplies(t *testing.T) {
	verdict := func(a policy.Action, code, class int) policy.Verdict {
		return policy.Verdict{Action: a, Reply: policy.Reply{Code: code, Enhanced: [3]int{class, 7, 1}, Text: "so it was judged"}}
	}
	lines := []struct{ what, line, ok string }{
		{"connect", "EHLO me", "250"}, {"hello", "EHLO me", "250"}, {"mail", "MAIL FROM:<x@example.org>", "250"},
		{"recipient", "RCPT TO:<anna@example.com>", "250"}, {"", "DATA", "354"}, {"message", "a: b\r\n\r\nx\r\n.", "250"},
	}
	for _, v := range []policy.Verdict{verdict(policy.Defer, 451, 4), verdict(policy.Refuse, 550, 5), verdict(policy.Drop, 554, 5)} {
		for _, what := range []string{"connect", "hello", "mail", "recipient", "message"} {
			_, r, c := judged(t, map[string]policy.Verdict{what: v})
			for i, l := range lines {
				if i == 1 && what == "connect" || i == 0 && what != "connect" {
					continue
				}
				if l.what != what {
					c.do(l.line, l.ok)
					continue
				}
				if got := c.do(l.line, ""); !strings.HasPrefix(got,
					[]string{"451 4", "550 5", "554 5"}[v.Action-policy.Defer]+".7.1 so it was judged") {
					t.Errorf("%s, %v: %q", what, v.Action, got)
				}
				break
			}
			if v.Action == policy.Drop {
				c.closed()
			} else {
				c.do("NOOP", "250 ")
			}
			if len(r.store.taken()) > 0 {
				t.Errorf("%s, %v: the message is stored", what, v.Action)
			}
		}
	}
}

// faulty is a filter with a fault.
type faulty struct{ policy.Base }

func (f faulty) Begin(policy.Connection) policy.Transaction { return f }
func (faulty) OnMail(context.Context, policy.Sender) policy.Verdict {
	panic("a fault")
}

// TestAFaultEndsOneConnection has a filter panic: the client is told to come
// back, and others are served.
func TestAFaultEndsOneConnection(t *testing.T) {
	r := newRig(t, MX, func(o *Options) { o.Policy.MX = policy.Chain{faulty{}} })
	bystander, c := r.dial(), r.dial()
	bystander.hello()
	c.hello()
	c.do("MAIL FROM:<x@example.org>", "421 4.3.0 ")
	c.closed()
	bystander.do("NOOP", "250 ")
}
