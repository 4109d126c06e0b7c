package imap

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The tests of this file hold down faults that other IMAP servers have had.

// A refused literal's octets never run as commands.
func TestRefusedLiteralIsNoCommand(t *testing.T) {
	s := newStack(t)
	evil := "evil CREATE x\r\n"
	t.Run("too large to skip", func(t *testing.T) {
		c := s.signIn("ann")
		c.send("a APPEND INBOX {209715200+}\r\n" + strings.Repeat(evil, 10))
		all := ""
		for {
			l, err := c.readLine()
			all += l + "\n"
			if err != nil {
				break
			}
		}
		has(t, all, "a NO [TOOBIG]", "* BYE")
		lacks(t, all, "evil")
	})
	for name, command := range map[string]string{
		"beyond the limit":  "a LOGIN x {300000+}\r\n" + strings.Repeat(evil, 20_000)[:300_000] + "\r\n",
		"unknown command":   "a REPLACE 1 INBOX {4500+}\r\n" + strings.Repeat(evil, 300) + "\r\n",
		"wrong state":       "a FETCH {45+}\r\n" + strings.Repeat(evil, 3) + "\r\n",
		"missing mailbox":   "a APPEND nowhere {45+}\r\n" + strings.Repeat(evil, 3) + "\r\n",
		"a search key":      "a LIST \"\" {4500+}\r\n" + strings.Repeat(evil, 300) + "\r\n",
		"an invalid number": "a STATUS INBOX 1 {45+}\r\n" + strings.Repeat(evil, 3) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := s.signIn("ann")
			c.send(command)
			_, tagged := c.until("a")
			if strings.HasPrefix(tagged, "OK") {
				t.Fatalf("accepted: %s", tagged)
			}
			lacks(t, c.ok("NOOP"), "evil")
			lacks(t, c.ok(`LIST "" *`), `"x"`)
		})
	}
}

// What arrives between SELECT and IDLE is told without waiting for DONE.
func TestIdleTellsWhatCameBefore(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	c.ok("SELECT INBOX")
	s.file("ann", "INBOX", hello)
	c.send("i IDLE\r\n")
	if l := c.line(); !strings.HasPrefix(l, "+ ") {
		t.Fatal(l)
	}
	if l := c.line(); l != "* 1 EXISTS" {
		t.Fatal(l)
	}
	c.send("DONE\r\n")
	if _, tagged := c.until("i"); !strings.HasPrefix(tagged, "OK") {
		t.Fatal(tagged)
	}
}

// A malformed APPEND stores nothing, and the session goes on.
func TestAppendWithTrailingData(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	c.send("a APPEND INBOX {5+}\r\nhello {5+}\r\nworld\r\n")
	if _, tagged := c.until("a"); !strings.HasPrefix(tagged, "BAD") {
		t.Fatal(tagged)
	}
	has(t, c.ok("STATUS INBOX (MESSAGES)"), "(MESSAGES 0)")
}

// A client that never speaks TLS is cut off.
func TestHandshakeDeadline(t *testing.T) {
	s := newStack(t, func(o *Options) { o.Limits.Handshake = 50 * time.Millisecond })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go s.server.Serve(context.Background(), ln, Mode{TLS: true})
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Fatalf("still connected: %v", err)
	}
}

// Arguments are not read, and not kept, in the wrong state.
func TestNoMemoryBeforeSignIn(t *testing.T) {
	s := newStack(t)
	c := s.dial(true)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	literal := " BODY {4096+}\r\n" + strings.Repeat("x", 4096)
	go c.conn.Write([]byte("a SEARCH" + strings.Repeat(literal, 200) + "\r\n"))
	all := ""
	for {
		l, err := c.readLine()
		all += l
		if err != nil {
			break
		}
	}
	has(t, all, "a BAD")
	if grown := int64(heap()) - int64(before); grown > 4<<20 {
		t.Errorf("the heap grew by %d octets", grown)
	}
}

// A pattern made to explode is answered; the client gives up after minutes,
// one that tries every way needs years.
func TestListPatternExplosion(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	c.ok("CREATE " + strings.Repeat("a", 200))
	c.ok(`LIST "" ` + strings.Repeat("*a", 400) + "b")
	c.fails(`LIST "" `+strings.Repeat("*a", 4000), "BAD")
}

// What is opened with EXAMINE cannot be changed by any command.
func TestExamineIsReadOnly(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	c.append("INBOX", `(\Deleted)`, hello)
	has(t, c.ok("EXAMINE INBOX"), "[READ-ONLY]", "[PERMANENTFLAGS ()]")
	for _, command := range []string{`STORE 1 +FLAGS (\Seen)`, `UID STORE 1 FLAGS ()`, "EXPUNGE", "UID EXPUNGE 1",
		"MOVE 1 Archive", "UID MOVE 1 Archive"} {
		c.fails(command, "NO [READ-ONLY]")
	}
	lacks(t, c.ok("FETCH 1 BODY[]")+c.ok("FETCH 1 FLAGS"), `\Seen`)
	c.ok("CLOSE")
	has(t, c.ok("SELECT INBOX"), "* 1 EXISTS")
}

// After ENABLE IMAP4rev2, names are UTF-8 throughout.
func TestAmpersandNames(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	c.ok("CREATE A&-B")
	c.ok("CREATE Entw&APw-rfe")
	has(t, c.ok(`LIST "" *`), `"A&-B"`, `"Entw&APw-rfe"`)
	has(t, c.ok("STATUS A&-B (MESSAGES)"), `STATUS "A&-B"`)
	has(t, c.fails("CREATE a&b", "NO [CANNOT]"), "UTF-7")
	c.ok("ENABLE IMAP4rev2")
	has(t, c.ok(`LIST "" *`), `"A&B"`, `"Entwürfe"`)
	has(t, c.ok(`STATUS "A&B" (MESSAGES)`), `STATUS "A&B"`)
	has(t, c.ok(`STATUS "Entwürfe" (MESSAGES)`), `"Entwürfe"`)
}

// The empty challenge is "+ ".
func TestEmptyChallenge(t *testing.T) {
	s := newStack(t)
	c := s.dial(true)
	c.send("a AUTHENTICATE PLAIN\r\n")
	if l := c.line(); l != "+ " {
		t.Fatalf("%q", l)
	}
	c.send("AGFubgBzZWNyZXQ=\r\n")
	if _, tagged := c.until("a"); !strings.HasPrefix(tagged, "OK [CAPABILITY ") {
		t.Fatal(tagged)
	}
}

// A connection lost in IDLE ends the session and its watch together.
func TestIdleLostConnection(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	c.ok("SELECT INBOX")
	c.send("i IDLE\r\n")
	c.line()
	c.conn.(*tls.Conn).NetConn().Close()
	for end := time.Now().Add(5 * time.Second); s.server.Sessions() > 0; {
		if time.Now().After(end) {
			t.Fatal("the session lives on")
		}
		runtime.Gosched()
	}
	s.file("ann", "INBOX", hello)
}
