package smtp

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rookery"
)

// script is what a client sends in one go, the replies that it must get, and
// what must be stored of it.
type script struct {
	rand   *rand.Rand
	send   strings.Builder
	want   []string // the first characters of each reply
	stored []string

	sender    bool
	recipient bool
	chunks    bool
	text      string // of the chunks so far
	message   int
}

func (s *script) say(line, want string) {
	s.send.WriteString(line)
	s.want = append(s.want, want)
}

// next makes a message, one in four of which the store refuses.
func (s *script) next() (text, want string) {
	s.message++
	if s.rand.IntN(4) == 0 {
		return fmt.Sprintf("Subject: refuse %d\r\n\r\nx\r\n", s.message), "452"
	}
	return fmt.Sprintf("Subject: take %d\r\n\r\nx\r\n", s.message), "250"
}

func (s *script) reset() { s.sender, s.recipient, s.chunks, s.text = false, false, false, "" }

// ended notes what becomes of a whole message.
func (s *script) ended(text, want string) {
	if want == "250" {
		s.stored = append(s.stored, text)
	}
	s.reset()
}

func (s *script) data() {
	if !s.recipient || s.chunks {
		s.say("DATA\r\n", "50")
		return
	}
	text, want := s.next()
	s.say("DATA\r\n", "354")
	s.say(text+".\r\n", want)
	s.ended(text, want)
}

func (s *script) chunk(last bool) {
	piece := []string{"", "", "X: y\r\n"}[s.rand.IntN(3)]
	want := "250"
	if last {
		var text string
		text, want = s.next()
		piece += text
	}
	line := fmt.Sprintf("BDAT %d", len(piece))
	if last {
		line += " LAST"
	}
	if !s.recipient {
		s.say(line+"\r\n"+piece, "50")
		return
	}
	s.say(line+"\r\n"+piece, want)
	s.chunks, s.text = true, s.text+piece
	if last {
		s.ended(s.text, want)
	}
}

func (s *script) step() {
	switch s.rand.IntN(8) {
	case 0:
		s.say("RSET\r\n", "250")
		s.reset()
	case 1:
		s.say("EHLO again\r\n", "250")
		s.reset()
	case 2:
		s.data()
	case 3, 4:
		s.chunk(false)
	case 5:
		s.chunk(true)
	default:
		want := "250"
		if s.sender {
			want = "50"
		}
		s.say("MAIL FROM:<x@example.org>\r\n", want)
		s.sender = true
		if want = "250"; s.chunks {
			want = "50"
		}
		s.say("RCPT TO:<anna@example.com>\r\n", want)
		s.recipient = true
	}
}

// TestWhatIsAnsweredIsWhatIsStored sends random sequences of MAIL, RCPT, DATA,
// BDAT, RSET and EHLO, messages in chunks that are abandoned among them. What
// got 250 is stored, once and whole; what did not is not.
func TestWhatIsAnsweredIsWhatIsStored(t *testing.T) {
	r := newRig(t, MX, nil)
	r.store.refuse = func(text string) error {
		if strings.Contains(text, "Subject: refuse") {
			return rookery.E("deliver", rookery.KindOverQuota, nil)
		}
		return nil
	}
	for seed := range uint64(150) {
		s := &script{rand: rand.New(rand.NewPCG(seed, 1))}
		for range 40 {
			s.step()
		}
		s.say("QUIT\r\n", "221")
		r.store.mu.Lock()
		r.store.messages, r.store.requests = nil, nil
		r.store.mu.Unlock()
		c := r.dial()
		c.hello()
		go c.send(s.send.String())
		var got []string
		for i, want := range s.want {
			reply := c.reply()
			if got = append(got, reply); !strings.HasPrefix(reply, want) {
				t.Fatalf("seed %d, reply %d: want %s, got %q\nof %q", seed, i, want, got[max(0, i-5):], s.send.String())
			}
		}
		c.closed()
		if stored := r.store.bodies(); !slices.Equal(stored, s.stored) {
			t.Fatalf("seed %d: stored %q, answered %q", seed, stored, s.stored)
		}
	}
}

// bodies are the messages without their trace fields.
func (st *store) bodies() []string {
	st.mu.Lock()
	defer st.mu.Unlock()
	var out []string
	for i, m := range st.messages {
		out = append(out, strings.TrimPrefix(m, string(st.requests[i].Trace)))
	}
	return out
}
