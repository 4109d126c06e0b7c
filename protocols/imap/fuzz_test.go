package imap

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"rookery/protocols/imap/wire"
)

// FuzzSearch parses search programs: no panic, no unbounded tree.
func FuzzSearch(f *testing.F) {
	for _, s := range []string{
		"ALL", "RETURN (MIN MAX SAVE) CHARSET UTF-8 OR SEEN NOT (1:* UID 3)", "MODSEQ \"/flags/\\\\draft\" all 62",
		"HEADER a \"b\" TEXT {3+}\r\nabc",
		"((((((((ALL))))))))", "NOT NOT NOT NOT ALL", "SENTSINCE 1-Jan-2020 LARGER 18446744073709551615", "$ KEYWORD x",
	} {
		f.Add([]byte(s))
	}
	srv := New(Options{})
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &session{srv: srv, state: selectedState, sel: &selected{}}
		in := wire.NewReader(strings.NewReader(" "+string(data)+"\r\n"), srv.buffers, func() error { return nil })
		l := wire.NewLexer(in, func() error { return nil })
		l.Begin(srv.limits.After)
		a := parseSearch(s, l)
		if !l.OK() {
			return
		}
		n, whole := a.key.Size()
		if !whole {
			t.Fatal("a key has too few or too many below it")
		}
		if n > 4*srv.limits.SearchKeys {
			t.Fatalf("%d keys", n)
		}
	})
}

// FuzzSession sends anything to a signed-in session with a selected mailbox
// on real storage. The server must answer within its limits, never panic, and
// still be in step or have hung up.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		"a NOOP\r\n", "a FETCH 1:* (FLAGS BODY.PEEK[1.MIME]<1.2> BINARY[1] ENVELOPE BODYSTRUCTURE)\r\n",
		"a APPEND INBOX (\\Seen) {5+}\r\nhello\r\nb IDLE\r\nDONE\r\n", "a UID STORE 1:* (UNCHANGEDSINCE 1) +FLAGS.SILENT (x y)\r\n",
		"a ENABLE QRESYNC\r\nb SELECT INBOX (QRESYNC (1 1 1:* (1 1)))\r\nc UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)\r\n",
		"a LIST (SUBSCRIBED RECURSIVEMATCH) \"\" (% *a*) RETURN (STATUS (MESSAGES))\r\n",
		"a MOVE 1 Archive\r\nb SEARCH RETURN (SAVE ALL) TEXT hello\r\nc COPY $ Drafts\r\n",
		"a CREATE &AOk-/x (USE (\\Sent))\r\nb RENAME x y\r\nc DELETE y\r\n", "a APPEND INBOX {99999+}\r\nxxx",
		"a AUTHENTICATE PLAIN =\r\n", "a ID (\"a\" NIL)\r\n", "\x00\x00{3+}\r\n",
		"a CLOSE\r\nb EXAMINE INBOX\r\nc EXPUNGE\r\nd UNSELECT\r\n", "a STATUS INBOX (MAILBOXID SIZE)\r\nb GETQUOTAROOT INBOX\r\n",
	} {
		f.Add([]byte(s))
	}
	s := newStack(f)
	s.file("fuzz", "INBOX", nested)
	f.Fuzz(func(t *testing.T, data []byte) {
		server, clientConn := net.Pipe()
		defer clientConn.Close()
		clientConn.SetDeadline(time.Now().Add(time.Minute))
		session := newSession(s.server, server, Mode{})
		session.secure = true
		done := make(chan struct{})
		go func() {
			defer close(done)
			session.live()
		}()
		go func() {
			io.WriteString(clientConn, "l LOGIN fuzz secret\r\ns SELECT INBOX\r\n")
			clientConn.Write(data)
			io.WriteString(clientConn, "\r\nDONE\r\n\r\nfinal LOGOUT\r\n")
			// Whatever the input left open, a literal say, ends here.
			time.AfterFunc(200*time.Millisecond, func() { clientConn.Close() })
		}()
		io.Copy(io.Discard, clientConn)
		<-done
	})
}
