package session

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzReply reads whatever a peer may answer: bounded, printable, and of one
// code.
func FuzzReply(f *testing.F) {
	f.Add("250-mx.example.org\r\n250-SIZE 1000\r\n250 DSN\r\n")
	f.Add("550 5.1.1 no such user\r\n")
	f.Add("421\n")
	f.Add("250-5.1.1 x\r\n250 5.1.2 y\r\n")
	f.Add("220 " + strings.Repeat("x", 5000) + "\r\n")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := readReply(bufio.NewReaderSize(strings.NewReader(s), maxReplyLine))
		if err != nil {
			return
		}
		if r.Code < 200 || r.Code > 599 || len(r.lines) == 0 || len(r.lines) > maxReplyLines {
			t.Fatalf("%+v", r)
		}
		if r.Enhanced[0] != 0 && r.Enhanced[0] != r.Code/100 {
			t.Fatalf("%d with %v", r.Code, r.Enhanced)
		}
		if len(r.Text) > maxReplyText || !utf8.ValidString(r.Text) || strings.ContainsAny(r.Text, "\r\n\x00\x1b") {
			t.Fatalf("the text is %q", r.Text)
		}
		for i, line := range strings.Split(s, "\n")[:len(r.lines)] {
			if !strings.HasPrefix(line, r.String()[:3]) {
				t.Fatalf("line %d is %q", i, line)
			}
		}
	})
}

// sent gives the octets that a message becomes, and how the transaction ended.
func sent(text string, chunked bool) (wrote string, st []Status) {
	here, there := net.Pipe()
	var b strings.Builder
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(&b, there)
	}()
	s := &Session{o: Options{Timeouts: Timeouts{}.withDefaults()}, wire: newWire(here)}
	d := newDelivery(s, plan{rcpt: []string{"RCPT"}})
	s.wire.until = time.Now().Add(time.Hour)
	// Text is read octet by octet, so that every place is the end of a buffer; all
	// of a chunk at once, because no replies come here.
	p := plan{chunks: chunked}
	send := d.data
	if chunked {
		p.size = int64(len(text))
		send = d.chunks
	}
	if send(context.Background(), p, &source{r: strings.NewReader(text), eight: true}, func(context.Context) error { return nil }) {
		s.wire.flush()
	}
	s.wire.close()
	<-done
	return b.String(), d.results
}

// FuzzContent holds what is sent to a reader of RFC 5321 4.5.2 and RFC 3030 that
// knows nothing of the writer: it gets the message, with an end to its last line,
// or no end of a message at all.
func FuzzContent(f *testing.F) {
	f.Add("Subject: x\r\n\r\n.a\r\n..\r\n.\r\n")
	f.Add("a\r\n.\r\nb")
	f.Add("a\n.\r\n")
	f.Add("a\r\n.\rb\r\n")
	f.Add(strings.Repeat("x", 999))
	f.Add(strings.Repeat("x\r\n.", 9000))
	f.Fuzz(func(t *testing.T, text string) {
		form, err := Inspect(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		want := text
		if text != "" && !strings.HasSuffix(text, "\r\n") {
			want += "\r\n"
		}
		wrote, _ := sent(text, false)
		if form.err() != nil {
			if got, ok := decode(wrote); ok {
				t.Fatalf("%v, and %q arrived", form.err(), got)
			}
		} else if got, ok := decode(wrote); !ok || got != want {
			t.Fatalf("DATA: %q arrived as %q", text, got)
		}
		if len(text) >= chunk {
			return // its replies are not there
		}
		wrote, _ = sent(text, true)
		head, got, ok := strings.Cut(wrote, "\r\n")
		if form.err() != nil {
			if wrote != "" {
				t.Fatalf("%v, and BDAT was said: %q", form.err(), wrote)
			}
			return
		}
		if !ok || !strings.HasSuffix(head, " LAST") || got != want {
			t.Fatalf("BDAT: %q arrived as %q, %q", text, head, got)
		}
	})
}

// decode reads text up to a line of one dot. A CR or LF alone, and a line of more
// than 998 octets, is the end of it.
func decode(wrote string) (text string, ok bool) {
	var b strings.Builder
	for {
		line, rest, found := strings.Cut(wrote, "\r\n")
		if !found {
			return "", false
		}
		if line == "." {
			return b.String(), rest == ""
		}
		line = strings.TrimPrefix(line, ".")
		if strings.ContainsAny(line, "\r\n\x00") || len(line) > 998 {
			return "", false
		}
		b.WriteString(line + "\r\n")
		wrote = rest
	}
}
