package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"rookery"
	"rookery/protocols/outbound/dsn"
	"rookery/protocols/outbound/session"
)

const plain = "Subject: hi\r\n\r\n.dot\r\n..two\r\n.\r\nlast\r\n"

func send(t testing.TB, s *session.Session, e session.Envelope, text string) []session.Status {
	t.Helper()
	r, err := s.Send(t.Context(), e, message(t, text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The same message arrives whatever the peer offers.
func TestWays(t *testing.T) {
	big := "Subject: big\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n.\r\n", 20_000)
	for _, c := range []struct {
		features []string
		text     string
		verbs    string
	}{
		{nil, plain, "EHLO MAIL RCPT RCPT DATA"},
		{[]string{"PIPELINING"}, plain, "EHLO MAIL RCPT RCPT DATA"},
		{[]string{"CHUNKING"}, plain, "EHLO MAIL RCPT RCPT BDAT"},
		{[]string{"PIPELINING", "CHUNKING"}, plain, "EHLO MAIL RCPT RCPT BDAT"},
		{nil, big, "EHLO MAIL RCPT RCPT DATA"},
		{[]string{"CHUNKING"}, big, "EHLO MAIL RCPT RCPT" + strings.Repeat(" BDAT", 1+len(big)/(64<<10))},
		{[]string{"PIPELINING", "CHUNKING"}, big, "EHLO MAIL RCPT RCPT" + strings.Repeat(" BDAT", 1+len(big)/(64<<10))},
		{[]string{"CHUNKING"}, "", "EHLO MAIL RCPT RCPT BDAT"},
		{nil, "", "EHLO MAIL RCPT RCPT DATA"},
	} {
		p := &peer{features: c.features}
		s := dial(t, p, session.Options{})
		for i, st := range send(t, s, envelope(t, "a@there.example", "b@there.example"), c.text) {
			if st.Outcome != session.Accepted || st.Stage != session.AtEnd {
				t.Errorf("%v: recipient %d: %+v", c.features, i, st)
			}
		}
		if got := p.got(); len(got) != 1 || got[0] != c.text {
			t.Errorf("%v: %d messages, not the one that was sent", c.features, len(got))
		}
		if v := p.verbs(); v != c.verbs {
			t.Errorf("%v: the commands were %s, want %s", c.features, v, c.verbs)
		}
		if s.Sent() != 1 || !s.Usable() {
			t.Errorf("%v: sent %d, usable %v", c.features, s.Sent(), s.Usable())
		}
	}
}

// A last line without an end gets one, in either way.
func TestLastLine(t *testing.T) {
	for _, f := range []string{"CHUNKING", "X"} {
		p := &peer{features: []string{f}}
		send(t, dial(t, p, session.Options{}), envelope(t, "a@there.example"), "Subject: x\r\n\r\nno end")
		if got := p.got(); len(got) != 1 || got[0] != "Subject: x\r\n\r\nno end\r\n" {
			t.Errorf("%s: %q", f, got)
		}
	}
}

func TestReuse(t *testing.T) {
	p := &peer{features: []string{"PIPELINING"}, replies: map[string]string{"RCPT TO:<no@": "550 5.1.1 nobody\r\n"}}
	s := dial(t, p, session.Options{})
	send(t, s, envelope(t, "a@there.example"), plain)
	if st := send(t, s, envelope(t, "no@there.example"), plain); !st[0].Permanent() || st[0].Stage != session.AtRcpt {
		t.Errorf("%+v", st)
	}
	send(t, s, envelope(t, "b@there.example"), plain)
	if err := s.Reset(t.Context()); err != nil {
		t.Error(err)
	}
	s.Quit(t.Context())
	// DATA was on its way when the only recipient was refused, so a dot ended it:
	// the peer has the text of no message for nobody.
	want := "EHLO MAIL RCPT DATA MAIL RCPT DATA RSET MAIL RCPT DATA RSET QUIT"
	if got := p.got(); p.verbs() != want || len(got) != 3 || got[1] != "" || p.conns != 1 {
		t.Errorf("%d connections, commands %s, messages %q", p.conns, p.verbs(), got)
	}
	if _, err := s.Send(t.Context(), envelope(t, "a@there.example"), message(t, plain), nil); err == nil {
		t.Error("sent after QUIT")
	}
}

// Each recipient gets its own result, also over several groups.
func TestManyRecipients(t *testing.T) {
	for _, features := range [][]string{nil, {"PIPELINING"}, {"PIPELINING", "CHUNKING"}} {
		p := &peer{features: features, replies: map[string]string{
			"RCPT TO:<r7@": "550 5.1.1 nobody\r\n", "RCPT TO:<r120@": "452 4.2.2 full\r\n",
		}}
		s := dial(t, p, session.Options{})
		var rcpts []string
		for i := range 130 {
			rcpts = append(rcpts, fmt.Sprintf("r%d@there.example", i))
		}
		for i, st := range send(t, s, envelope(t, rcpts...), plain) {
			want := session.Status{Outcome: session.Accepted, Stage: session.AtEnd}
			switch {
			case i == 7:
				want = session.Status{Outcome: session.Refused, Stage: session.AtRcpt, Reply: session.Reply{Code: 550, Enhanced: [3]int{5, 1, 1}}}
			case i == 120:
				want = session.Status{Outcome: session.Refused, Stage: session.AtRcpt, Reply: session.Reply{Code: 452, Enhanced: [3]int{4, 2, 2}}}
			default:
				want.Reply.Code, want.Reply.Enhanced = st.Reply.Code, st.Reply.Enhanced
			}
			if st.Outcome != want.Outcome || st.Stage != want.Stage ||
				st.Reply.Code != want.Reply.Code || st.Reply.Enhanced != want.Reply.Enhanced {
				t.Errorf("%v: recipient %d: %+v", features, i, st)
			}
		}
	}
}

// What a peer answers, and where it goes away, decides each recipient.
func TestRefusalsAndLosses(t *testing.T) {
	type want struct {
		outcome session.Outcome
		stage   session.Stage
		code    int
	}
	for name, c := range map[string]struct {
		replies map[string]string
		want    [2]want
		usable  bool
	}{
		"MAIL refused": {
			map[string]string{"MAIL": "550 5.7.1 no\r\n"},
			[2]want{{session.Refused, session.AtMail, 550}, {session.Refused, session.AtMail, 550}}, true,
		},
		"MAIL 421": {
			map[string]string{"MAIL": "421 4.3.2 later\r\nclose"},
			[2]want{{session.Refused, session.AtMail, 421}, {session.Refused, session.AtMail, 421}}, false,
		},
		"MAIL lost": {
			map[string]string{"MAIL": "close"},
			[2]want{{session.Lost, session.AtMail, 0}, {session.Lost, session.AtMail, 0}}, false,
		},
		"second RCPT 421": {
			map[string]string{"RCPT TO:<b@": "421 4.3.2 later\r\nclose"},
			[2]want{{session.Refused, session.AtData, 421}, {session.Refused, session.AtRcpt, 421}}, false,
		},
		"second RCPT lost": {
			map[string]string{"RCPT TO:<b@": "close"},
			[2]want{{session.Lost, session.AtRcpt, 0}, {session.Lost, session.AtRcpt, 0}}, false,
		},
		"second RCPT refused": {
			map[string]string{"RCPT TO:<b@": "550 5.1.1 nobody\r\n"},
			[2]want{{session.Accepted, session.AtEnd, 250}, {session.Refused, session.AtRcpt, 550}}, true,
		},
		"DATA refused": {
			map[string]string{"DATA": "451 4.3.0 later\r\n", "BDAT": "451 4.3.0 later\r\n"},
			[2]want{{session.Refused, session.AtData, 451}, {session.Refused, session.AtData, 451}}, true,
		},
		"DATA answered 250": {
			map[string]string{"DATA": "250 2.0.0 what\r\n"},
			[2]want{{session.Lost, session.AtData, 0}, {session.Lost, session.AtData, 0}}, false,
		},
		"DATA lost": {
			map[string]string{"DATA": "close"},
			[2]want{{session.Lost, session.AtData, 0}, {session.Lost, session.AtData, 0}}, false,
		},
		"message refused": {
			map[string]string{".": "554 5.7.1 spam\r\n"},
			[2]want{{session.Refused, session.AtEnd, 554}, {session.Refused, session.AtEnd, 554}}, true,
		},
		"message 421": {
			map[string]string{".": "421 4.3.2 later\r\nclose"},
			[2]want{{session.Refused, session.AtEnd, 421}, {session.Refused, session.AtEnd, 421}}, false,
		},
		"lost after the dot": {
			map[string]string{".": "close"},
			[2]want{{session.Lost, session.AtEnd, 0}, {session.Lost, session.AtEnd, 0}}, false,
		},
		"half a reply to the dot": {
			map[string]string{".": "250-2.0.0 ta|close"},
			[2]want{{session.Lost, session.AtEnd, 0}, {session.Lost, session.AtEnd, 0}}, false,
		},
		"nonsense after the dot": {
			map[string]string{".": "hello\r\n"},
			[2]want{{session.Lost, session.AtEnd, 0}, {session.Lost, session.AtEnd, 0}}, false,
		},
	} {
		for _, features := range [][]string{{"X"}, {"PIPELINING"}} {
			p := &peer{features: features, replies: c.replies}
			s := dial(t, p, session.Options{})
			for i, st := range send(t, s, envelope(t, "a@there.example", "b@there.example"), plain) {
				w := c.want[i]
				// Where the first recipient was taken and the connection ended at the
				// second, the stage is the one of the command that was next.
				if st.Outcome != w.outcome || st.Stage != w.stage && st.Stage != session.AtRcpt || st.Reply.Code != w.code {
					t.Errorf("%s, %v: recipient %d: %v at %v, %v, %v", name, features, i, st.Outcome, st.Stage, st.Reply, st.Err)
				}
				if st.Doubtful() != (w.outcome == session.Lost && w.stage == session.AtEnd) {
					t.Errorf("%s, %v: recipient %d is doubtful: %v", name, features, i, st.Doubtful())
				}
				if st.Outcome == session.Lost && rookery.KindOf(st.Err) != rookery.KindUnavailable {
					t.Errorf("%s: %v", name, st.Err)
				}
			}
			if s.Usable() != c.usable {
				t.Errorf("%s, %v: usable %v", name, features, s.Usable())
			}
		}
	}
}

// A chunk that is refused ends the message; one that was accepted before its
// reply was lost is doubtful only where it was the last.
func TestChunkRefused(t *testing.T) {
	big := "Subject: big\r\n\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 10_000)
	for _, c := range []struct {
		reply    string
		outcome  session.Outcome
		stage    session.Stage
		doubtful bool
	}{
		{"BDAT 65536", session.Refused, session.AtData, false},
		{"close", session.Lost, session.AtData, false},
	} {
		reply := c.reply
		if reply != "close" {
			reply = "552 5.3.4 too much\r\n"
		}
		for _, f := range [][]string{{"CHUNKING"}, {"CHUNKING", "PIPELINING"}} {
			p := &peer{features: f, replies: map[string]string{"BDAT 65536": reply}}
			s := dial(t, p, session.Options{})
			st := send(t, s, envelope(t, "a@there.example"), big)[0]
			if st.Outcome != c.outcome || st.Stage != c.stage || st.Doubtful() {
				t.Errorf("%v %q: %+v", f, reply, st)
			}
			if len(p.got()) != 0 {
				t.Errorf("%v: the peer has the message", f)
			}
			if reply != "close" { // the session goes on
				p.mu.Lock()
				p.replies = nil
				p.mu.Unlock()
				if st := send(t, s, envelope(t, "a@there.example"), plain)[0]; st.Outcome != session.Accepted {
					t.Errorf("%v: after it: %+v", f, st)
				}
			}
		}
	}
	p := &peer{features: []string{"CHUNKING"}, replies: map[string]string{"BDAT": "close"}}
	if st := send(t, dial(t, p, session.Options{}), envelope(t, "a@there.example"), plain)[0]; !st.Doubtful() {
		t.Errorf("the last chunk was lost, and is not doubtful: %+v", st)
	}
}

// may is asked before the peer can have the message, and stops it.
func TestMayStop(t *testing.T) {
	stop := rookery.E("lead", rookery.KindConflict, errors.New("another node leads"))
	for _, f := range []string{"X", "CHUNKING"} {
		p := &peer{features: []string{f}}
		s := dial(t, p, session.Options{})
		asked := 0
		r, err := s.Send(t.Context(), envelope(t, "a@there.example"), message(t, plain), func(context.Context) error {
			asked++
			return stop
		})
		if err != nil || r[0].Outcome != session.Lost || r[0].Doubtful() || !errors.Is(r[0].Err, stop) || s.Usable() || asked != 1 {
			t.Errorf("%s: %+v, %v, usable %v, asked %d", f, r, err, s.Usable(), asked)
		}
		if got := p.got(); len(got) != 0 || !rookery.Is(r[0].Err, rookery.KindConflict) {
			t.Errorf("%s: the peer has %q; %v", f, got, r[0].Err)
		}
	}
}

func TestUnsendable(t *testing.T) {
	all := []string{"8BITMIME", "SMTPUTF8", "SIZE 1000", "CHUNKING", "PIPELINING"}
	for name, c := range map[string]struct {
		features []string
		from     string
		utf8     bool
		text     string
		want     error
	}{
		"bare LF":          {all, "a@us.example", false, "S: x\r\n\r\na\nb\r\n", session.ErrLineEnds},
		"bare CR":          {all, "a@us.example", false, "S: x\r\n\r\na\rb\r\n", session.ErrLineEnds},
		"CR CR LF":         {all, "a@us.example", false, "S: x\r\n\r\na\r\r\n", session.ErrLineEnds},
		"CR at the end":    {all, "a@us.example", false, "S: x\r\n\r\na\r", session.ErrLineEnds},
		"smuggling":        {all, "a@us.example", false, "S: x\r\n\r\na\n.\r\nMAIL FROM:<b@c>\r\n", session.ErrLineEnds},
		"line of 999":      {all, "a@us.example", false, "S: x\r\n\r\n" + strings.Repeat("x", 999) + "\r\n", session.ErrLongLine},
		"line of 998":      {all, "a@us.example", false, "S: x\r\n\r\n" + strings.Repeat("x", 900) + "\r\n", nil},
		"NUL":              {all, "a@us.example", false, "S: x\r\n\r\na\x00\r\n", session.ErrNUL},
		"8-bit body":       {[]string{"SMTPUTF8"}, "a@us.example", false, "S: x\r\n\r\né\r\n", session.ErrEightBit},
		"8-bit taken":      {all, "a@us.example", false, "S: x\r\n\r\né\r\n", nil},
		"UTF-8 sender":     {[]string{"8BITMIME"}, "é@us.example", false, plain, session.ErrUTF8},
		"UTF-8 header":     {[]string{"8BITMIME"}, "a@us.example", true, "S: é\r\n\r\nx\r\n", session.ErrUTF8},
		"UTF-8 body only":  {[]string{"8BITMIME"}, "a@us.example", true, "S: x\r\n\r\né\r\n", nil},
		"too large":        {all, "a@us.example", false, "S: x\r\n\r\n" + strings.Repeat("x\r\n", 500), session.ErrTooLarge},
		"size is no bound": {[]string{"SIZE 0"}, "a@us.example", false, plain, nil},
	} {
		p := &peer{features: c.features}
		s := dial(t, p, session.Options{})
		e := envelope(t, "b@there.example")
		e.From, e.UTF8 = addr(t, c.from), c.utf8
		_, err := s.Send(t.Context(), e, message(t, c.text), nil)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if c.want != nil {
			if v := p.verbs(); v != "EHLO" || !s.Usable() {
				t.Errorf("%s: the commands were %s, usable %v", name, v, s.Usable())
			}
			want := rookery.KindInvalid
			if c.want == session.ErrTooLarge {
				want = rookery.KindTooLarge
			}
			if !rookery.Is(err, want) {
				t.Errorf("%s: the kind is %v", name, rookery.KindOf(err))
			}
		}
	}
}

// What is said of a message is not believed: its octets are looked at while they
// are sent.
func TestFormThatLies(t *testing.T) {
	for _, c := range []struct {
		feature, text string
		want          error
	}{
		{"X", "S: x\r\n\r\na\n.\r\nMAIL FROM:<b@c>\r\n", session.ErrLineEnds},
		{"CHUNKING", "S: x\r\n\r\na\n.\r\nMAIL FROM:<b@c>\r\n", session.ErrLineEnds},
		{"X", "S: x\r\n\r\né\r\n", session.ErrEightBit},
		{"CHUNKING", "S: x\r\n\r\né\r\n", session.ErrEightBit},
	} {
		p := &peer{features: []string{c.feature}}
		m := message(t, plain)
		m.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(c.text)), nil }
		r, err := dial(t, p, session.Options{}).Send(t.Context(), envelope(t, "a@there.example"), m, nil)
		if err != nil || r[0].Outcome != session.Lost || r[0].Doubtful() || !errors.Is(r[0].Err, c.want) || len(p.got()) != 0 {
			t.Errorf("%s: %+v, %v, %q", c.feature, r, err, p.got())
		}
	}
	m := message(t, plain)
	for _, size := range []int64{-1, 0, 3, 1<<63 - 1} {
		m.Form.Size = size
		for _, f := range []string{"X", "CHUNKING"} {
			p := &peer{features: []string{f}}
			r, err := dial(t, p, session.Options{}).Send(t.Context(), envelope(t, "a@there.example"), m, nil)
			if got := p.got(); err != nil || r[0].Outcome != session.Accepted || len(got) != 1 || got[0] != plain {
				t.Errorf("%s, a size of %d: %+v, %v, %q", f, size, r, err, got)
			}
		}
	}
}

func TestUTF8Recipient(t *testing.T) {
	p := &peer{features: []string{"8BITMIME"}}
	s := dial(t, p, session.Options{})
	st := send(t, s, envelope(t, "é@there.example", "b@there.example"), plain)
	if st[0].Outcome != session.Unsendable || !errors.Is(st[0].Err, session.ErrUTF8) || st[1].Outcome != session.Accepted {
		t.Errorf("%+v", st)
	}
	if st := send(t, s, envelope(t, "é@there.example"), plain); st[0].Outcome != session.Unsendable {
		t.Errorf("%+v", st)
	}
	p = &peer{features: []string{"8BITMIME", "SMTPUTF8"}}
	if st := send(t, dial(t, p, session.Options{}), envelope(t, "é@bücher.example"), plain); st[0].Outcome != session.Accepted {
		t.Errorf("%+v", st)
	}
	want := []string{"MAIL FROM:<alice@us.example> SMTPUTF8", "RCPT TO:<é@xn--bcher-kva.example>"}
	if said := p.said(); said[1] != want[0] || said[2] != want[1] {
		t.Errorf("said %q", said)
	}
}

func TestParameters(t *testing.T) {
	e := envelope(t, `"a b"@there.example`)
	e.Return, e.ID = dsn.ReturnHeaders, "id+1"
	e.Recipients[0].Notify = dsn.OnSuccess | dsn.OnFailure
	e.Recipients[0].Original = "rfc822;o=p@us.example"
	for _, c := range []struct {
		features []string
		mail     string
		rcpt     string
	}{
		{
			[]string{"DSN", "SIZE", "8BITMIME"},
			"MAIL FROM:<alice@us.example> SIZE=10 BODY=8BITMIME RET=HDRS ENVID=id+2B1",
			`RCPT TO:<"a b"@there.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;o+3Dp@us.example`,
		},
		{[]string{"8bitmime"}, "MAIL FROM:<alice@us.example> BODY=8BITMIME", `RCPT TO:<"a b"@there.example>`},
	} {
		p := &peer{features: c.features}
		send(t, dial(t, p, session.Options{}), e, "a\r\n\r\n\xc3\xa9\x20\r\n")
		if said := p.said(); said[1] != c.mail || said[2] != c.rcpt {
			t.Errorf("%v: said %q", c.features, said[1:3])
		}
	}
	p := &peer{}
	e.From = rookery.Address{}
	send(t, dial(t, p, session.Options{}), e, plain)
	if said := p.said(); said[1] != "MAIL FROM:<>" {
		t.Errorf("the null sender: %q", said[1])
	}
	e.Recipients[0].Address = rookery.Address{Local: "a>\r\nRSET\r\n<b", Domain: "there.example"}
	if _, err := dial(t, &peer{}, session.Options{}).Send(t.Context(), e, message(t, plain), nil); !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("a line end in an address: %v", err)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("shutting down")
	p := &peer{hook: map[string]func(net.Conn){"RCPT": func(net.Conn) { cancel(why) }}}
	s := dial(t, p, session.Options{})
	p.replies = map[string]string{"RCPT": ""}
	r, err := s.Send(ctx, envelope(t, "a@there.example"), message(t, plain), nil)
	if err != nil || r[0].Outcome != session.Lost || !errors.Is(r[0].Err, why) || s.Usable() {
		t.Errorf("%+v, %v", r, err)
	}
}
