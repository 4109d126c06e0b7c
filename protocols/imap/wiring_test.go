package imap

import (
	"net"
	"rookery/protocols/signin"
	"sync/atomic"
	"testing"
	"time"
)

// A message whose body cannot be read fails alone, and only where its body is
// needed.
func TestBodyAway(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	c.append("INBOX", "", nested)
	last := s.log.groups[mailGroup].index
	c.append("INBOX", "", hello)
	s.log.entries.Delete(position{mailGroup, last})
	c.ok("SELECT INBOX")
	got := c.fails("FETCH 1:2 BODY.PEEK[]", "NO [UNAVAILABLE]")
	has(t, got, "* 2 FETCH")
	lacks(t, got, "* 1 FETCH")
	// Headers, envelopes and structures are at hand on every node.
	has(t, c.ok("FETCH 1 (ENVELOPE BODYSTRUCTURE PREVIEW BODY.PEEK[HEADER] BODY.PEEK[HEADER.FIELDS (SUBJECT)] RFC822.HEADER "+
		"RFC822.SIZE)"), "* 1 FETCH", "multipart")
	has(t, c.ok("SEARCH SUBJECT \"grüße\""), "* SEARCH 1")
	c.fails("SEARCH BODY inner", "NO [UNAVAILABLE]")
	has(t, c.ok("SEARCH FROM ann SENTON 2-Mar-2026"), "* SEARCH 1 2")
}

// countingConn counts the writes of the server.
type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func TestFewWrites(t *testing.T) {
	s := newStack(t)
	s.fill("ann", 20_000)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var writes atomic.Int64
	go func() {
		if conn, err := ln.Accept(); err == nil {
			ses := newSession(s.server, countingConn{conn, &writes}, Mode{})
			ses.secure = true
			ses.live()
		}
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn)
	c.line()
	c.ok("LOGIN ann secret")
	before := writes.Load()
	c.ok("SELECT INBOX")
	if n := writes.Load() - before; n != 1 {
		t.Errorf("SELECT took %d writes", n)
	}
	before = writes.Load()
	size := len(c.ok("FETCH 1:* (FLAGS)"))
	if n := int(writes.Load() - before); n > size/(32<<10)+2 {
		t.Errorf("%d octets took %d writes", size, n)
	}
	c.ok("LOGOUT")
}

func TestClosedByPeer(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	raw := rawConn(server)
	if raw == nil {
		t.Fatal("a TCP connection shows no socket")
	}
	if closedByPeer(raw) {
		t.Error("an open connection counts as closed")
	}
	client.Write([]byte("x"))
	if closedByPeer(raw) {
		t.Error("a connection with input counts as closed")
	}
	server.Read(make([]byte, 1))
	client.Close()
	for end := time.Now().Add(5 * time.Second); !closedByPeer(raw); {
		if time.Now().After(end) {
			t.Fatal("a closed connection counts as open")
		}
	}
}

// After a run of expunges, two sessions count the same messages.
func TestSessionsAgree(t *testing.T) {
	s := newStack(t)
	s.fill("ann", 60)
	a, b := s.signIn("ann"), s.signIn("ann")
	a.ok("SELECT INBOX")
	b.ok("SELECT INBOX")
	for range 10 {
		b.ok(`STORE 1,3,5 +FLAGS.SILENT (\Deleted)`)
		a.ok("FETCH 1:* FLAGS") // keeps the numbers, whatever went
		b.ok("EXPUNGE")
		s.file("ann", "INBOX", hello)
		a.ok("SEARCH ALL")
	}
	a.ok("NOOP")
	b.ok("NOOP")
	if mine, theirs := a.ok("FETCH 1:* UID"), b.ok("FETCH 1:* UID"); mine != theirs {
		t.Errorf("two sessions see\n%s\n%s", mine, theirs)
	}
}

// Commands that name or list mailboxes see what any node has acknowledged;
// reading in the selected state asks nobody.
func TestBarriers(t *testing.T) {
	s := newStackSigning(t, signin.Options{DefaultQuota: func() int64 { return 1 << 20 }})
	c := s.signIn("ann")
	c.append("INBOX", "", hello)
	for command, want := range map[string]bool{
		"SELECT INBOX": true, "EXAMINE INBOX": true, "STATUS INBOX (MESSAGES)": true, `LIST "" *`: true, `LSUB "" *`: true, `XLIST "" *`: true,
		`GETQUOTA ""`: true, "GETQUOTAROOT INBOX": true, "COPY 1 Archive": true, "NOOP": true, "CHECK": true, "APPEND INBOX {5+}\r\nhello": true,
		"IDLE\r\nDONE": true, "FETCH 1 (FLAGS BODY.PEEK[HEADER] ENVELOPE)": false, "SEARCH ALL": false,
		"UID FETCH 1:* BODY.PEEK[]": false, `STORE 1 +FLAGS (\Seen)`: false,
	} {
		c.ok("SELECT INBOX")
		before := s.log.barrier.Load()
		c.ok(command)
		if got := s.log.barrier.Load() > before; got != want {
			t.Errorf("%s: asked the cluster %v, want %v", command, got, want)
		}
	}
}
