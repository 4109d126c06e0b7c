package imap

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"rookery"
)

func TestEveryKindHasAReply(t *testing.T) {
	for _, k := range rookery.Kinds() {
		row, ok := kindReplies[k]
		if !ok || row.code == "" || row.text == "" {
			t.Errorf("kind %v has no reply", k)
		}
		r := replyTo(rookery.E("test", k, io.EOF))
		if r.status != "NO" {
			t.Errorf("kind %v is answered %s", k, r.status)
		}
		wrong := row.code == "AUTHENTICATIONFAILED"
		if known := k == rookery.KindCredentials || k == rookery.KindDisabled; wrong != known {
			t.Errorf("kind %v is answered [%s]", k, row.code)
		}
	}
	if r := replyTo(io.EOF); r.code != "UNAVAILABLE" {
		t.Errorf("an error of no kind is answered [%s]", r.code)
	}
}

func TestCapabilitiesByState(t *testing.T) {
	s := newStack(t)
	c := s.dial(false)
	plain := c.ok("CAPABILITY")
	has(t, plain, "IMAP4rev1", "IMAP4rev2", "STARTTLS", "LOGINDISABLED", "SASL-IR", "LITERAL+")
	lacks(t, plain, "AUTH=", "MOVE", "QUOTA")
	has(t, c.fails("LOGIN ann secret", "NO [PRIVACYREQUIRED]"))
	has(t, c.fails("AUTHENTICATE PLAIN AGFubgBzZWNyZXQ=", "NO [PRIVACYREQUIRED]"))
	c.ok("STARTTLS")
	c.secure()
	under := c.ok("CAPABILITY")
	has(t, under, "AUTH=PLAIN", "AUTH=LOGIN")
	lacks(t, under, "STARTTLS", "LOGINDISABLED")
	c.fails("STARTTLS", "BAD")
	in := c.ok("LOGIN ann secret")
	for _, name := range strings.Fields("IDLE UIDPLUS MOVE UNSELECT NAMESPACE SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED " +
		"LIST-STATUS XLIST " +
		"ESEARCH SEARCHRES CONDSTORE QRESYNC OBJECTID ID STATUS=SIZE CHILDREN BINARY APPENDLIMIT=67108864 QUOTA=RES-STORAGE " +
		"UTF8=ACCEPT ENABLE SAVEDATE PREVIEW WITHIN") {
		has(t, in, " "+name)
	}
	lacks(t, in, "AUTH=", "STARTTLS")
}

// secure turns the client to TLS.
func (c *client) secure() {
	c.conn = tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	c.r.Reset(c.conn)
}

func TestStartTLSInjection(t *testing.T) {
	s := newStack(t)
	c := s.dial(false)
	c.send("a STARTTLS\r\nb CAPABILITY\r\n")
	_, tagged := c.until("a")
	if !strings.HasPrefix(tagged, "BAD") {
		t.Fatalf("STARTTLS with a command behind it: %s", tagged)
	}
	c.closed()
}

func TestStates(t *testing.T) {
	s := newStack(t)
	c := s.dial(true)
	for _, command := range []string{"SELECT INBOX", "IDLE"} {
		c.fails(command, "BAD")
	}
	c.ok("LOGIN ann secret")
	for _, command := range []string{"LOGIN ann secret", "AUTHENTICATE PLAIN", "STARTTLS", "FETCH 1 FLAGS", "CLOSE",
		"UID FETCH 1 FLAGS", "CHECK", "SEARCH ALL"} {
		c.fails(command, "BAD")
	}
	c.ok("SELECT INBOX")
	has(t, c.ok("SELECT Drafts"), "[CLOSED]")
	c.fails("SELECT nowhere", "NO [NONEXISTENT]")
	c.fails("FETCH 1 FLAGS", "BAD")
	c.ok("EXAMINE INBOX")
	c.ok("UNSELECT")
	c.fails("EXPUNGE", "BAD")
	has(t, c.ok(`ID ("name" "test" "version" NIL)`), "* ID (")
	c.ok("ID NIL")
	c.ok("NAMESPACE")
}

func TestBadInput(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	c.ok("SELECT INBOX")
	for _, bad := range []string{
		"NOOP extra", "FETCH", "FETCH 0 FLAGS", "FETCH 1:2,, FLAGS", "FETCH 1 BODY[1.0]", "FETCH 1 BODY[HEADER.FIELDS ()]", "FETCH 1 FLAGZ",
		"FETCH 1 BODY[", "FETCH 1 (PREVIEW (EAGER))", "FETCH 1 PREVIEW (LAZY", "FETCH 1 FLAGS ()", "FETCH 1 FLAGS (CHANGEDSINCE)",
		"FETCH 1 ()", "FETCH 1 (FLAGS", "FETCH 1 BODY[]<0.0>", "STORE 1 FLAGZ (\\Seen)", "STORE 1 +FLAGS", "SEARCH", "SEARCH FOO",
		"SEARCH ON yesterday",
		`LIST "" "`, "UID NOOP", "UID", "SELECT", "SELECT INBOX (FOO)", "SELECT INBOX (QRESYNC (1 2))", "STATUS INBOX (FOO)", "APPEND INBOX foo",
		`APPEND INBOX "1-Foo-2020 10:00:00 +0000" {3}`, "FETCH 1 (FLAGS) (VANISHED)", "ENABLE", "LIST (RECURSIVEMATCH) \"\" *",
		"\x00", "é", "CREATE \xff",
	} {
		c.fails(bad, "BAD")
		c.ok("NOOP") // so that they are not too many in a row
	}
	c.send("\r\n")
	has(t, c.line(), "* BAD")
	c.send("x\r\n")
	has(t, c.line(), "x BAD")
	c.send("a NOOP\n")
	c.until("a")
}

func TestLimits(t *testing.T) {
	s := newStack(t, func(o *Options) { o.Limits.SearchKeys, o.Limits.SearchDepth = 100, 10 })
	c := s.signIn("ann")
	c.ok("SELECT INBOX")
	c.fails("SEARCH"+strings.Repeat(" ALL", 10_000), "NO [LIMIT]")
	c.fails("SEARCH "+strings.Repeat("(", 11)+"ALL"+strings.Repeat(")", 11), "NO [LIMIT]")
	c.fails("SEARCH "+strings.Repeat("NOT ", 50)+"ALL", "NO [LIMIT]")
	c.fails("FETCH 1 ("+strings.Repeat("FLAGS ", 1000)+"UID)", "BAD")
	c.ok("UID FETCH " + strings.Repeat("1:4294967295,", 5000) + "1 FLAGS")
	c.fails("SEARCH TEXT "+strings.Repeat("x", 200_000), "BAD [TOOBIG]")
	c.ok("NOOP")
	io.WriteString(c.conn, "a "+strings.Repeat("x", 2<<20)) // the server may close before it has all
	c.closed()
}

func TestTooManyBadCommands(t *testing.T) {
	s := newStack(t)
	c := s.dial(true)
	for range 4 {
		c.send("a FOO\r\n")
		c.line()
	}
	has(t, c.line(), "* BYE")
	c.closed()
}

func TestSignIn(t *testing.T) {
	s := newStack(t)
	c := s.dial(true)
	c.fails("LOGIN ann wrong", "NO [AUTHENTICATIONFAILED]")
	c.fails("LOGIN disabled secret", "NO [AUTHENTICATIONFAILED]")
	s.people.down.Store(true)
	c.fails("LOGIN ann secret", "NO [UNAVAILABLE]")
	s.people.down.Store(false)
	s.log.away.Store(true)
	c.fails("LOGIN newcomer secret", "NO [UNAVAILABLE]")
	s.log.away.Store(false)
	c.fails("AUTHENTICATE PLAIN "+"Ym9iAGFubgBzZWNyZXQ=", "NO [AUTHORIZATIONFAILED]")
	c.fails("AUTHENTICATE CRAM-MD5", "NO")
	c.fails("AUTHENTICATE PLAIN !", "BAD")
	c.send("a AUTHENTICATE LOGIN\r\n")
	if l := c.line(); l != "+ VXNlcm5hbWU6" {
		t.Fatal(l)
	}
	c.send("*\r\n")
	if _, tagged := c.until("a"); !strings.HasPrefix(tagged, "BAD") {
		t.Fatal(tagged)
	}
	c.ok("NOOP")
	c.send("b AUTHENTICATE LOGIN YW5u\r\n")
	if l := c.line(); l != "+ UGFzc3dvcmQ6" {
		t.Fatal(l)
	}
	c.send("c2VjcmV0\r\n")
	if _, tagged := c.until("b"); !strings.HasPrefix(tagged, "OK") {
		t.Fatal(tagged)
	}
}

func TestSignInFailuresEnd(t *testing.T) {
	s := newStack(t)
	c := s.dial(true)
	for range 3 {
		c.fails("LOGIN ann wrong", "NO")
	}
	has(t, c.fails("LOGIN ann wrong", "NO"), "* BYE")
	c.closed()
	c = s.dial(true)
	c.send("a LOGIN {3}\r\n")
	c.line()
	c.send("ann {6+}\r\nsecret\r\n")
	if _, tagged := c.until("a"); !strings.HasPrefix(tagged, "OK") {
		t.Fatal(tagged)
	}
}

func TestConnectionCap(t *testing.T) {
	s := newStack(t, func(o *Options) { o.SessionsPerUser = func() int { return 2 } })
	a := s.signIn("ann")
	s.signIn("ann")
	c := s.dial(true)
	c.fails("LOGIN ann secret", "NO [LIMIT]")
	s.signIn("bob")
	a.ok("NOOP")
	a.ok("LOGOUT")
	a.closed()
	for end := time.Now().Add(5 * time.Second); ; {
		if _, tagged := c.do("LOGIN ann secret"); strings.HasPrefix(tagged, "OK") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the slot was not given back")
		}
	}
}

func TestUnavailable(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	c.append("INBOX", "", hello)
	c.ok("SELECT INBOX")
	s.log.away.Store(true)
	for _, command := range []string{"NOOP", "STATUS INBOX (MESSAGES)", `LIST "" *`, "GETQUOTA \"\"", "CREATE x", "IDLE", "SELECT INBOX"} {
		c.fails(command, "NO [UNAVAILABLE]")
	}
	s.log.away.Store(false)
	c.ok("SELECT INBOX")
	s.log.away.Store(true)
	// What is on this node can still be read.
	has(t, c.ok("FETCH 1 BODY[]"), "Hello Bob")
	c.fails(`STORE 1 +FLAGS (\Seen)`, "NO [UNAVAILABLE]")
	c.fails("COPY 1 Archive", "NO [UNAVAILABLE]")
}

func TestShutdown(t *testing.T) {
	s := newStack(t)
	idle, idling := s.signIn("ann"), s.signIn("bob")
	idling.ok("SELECT INBOX")
	idling.send("i IDLE\r\n")
	idling.line()
	done := make(chan error)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	go func() { done <- s.server.Shutdown(ctx) }()
	for _, c := range []*client{idle, idling} {
		has(t, c.line(), "* BYE")
		c.closed()
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := s.server.Sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

func TestPipelining(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	var b strings.Builder
	for i := range 200 {
		fmt.Fprintf(&b, "p%d STATUS INBOX (MESSAGES)\r\n", i)
	}
	go io.WriteString(c.conn, b.String())
	for i := range 200 {
		if u, tagged := c.until(fmt.Sprintf("p%d", i)); len(u) != 1 || !strings.HasPrefix(tagged, "OK") {
			t.Fatal(u, tagged)
		}
	}
}

// A command whose outcome nobody knows is answered in time, as temporary.
func TestDoubtfulOutcome(t *testing.T) {
	s := newStack(t, func(o *Options) { o.Limits.Run = 50 * time.Millisecond })
	c := s.signIn("ann")
	c.append("INBOX", "", hello)
	c.ok("SELECT INBOX")
	s.log.stuck.Store(true)
	for _, command := range []string{`STORE 1 +FLAGS (\Seen)`, "COPY 1 Archive", "MOVE 1 Archive", "CREATE x", "DELETE Drafts",
		"RENAME Drafts y", "SUBSCRIBE z",
		"APPEND INBOX {5+}\r\nhello"} {
		c.fails(command, "NO [UNAVAILABLE]")
	}
	s.log.stuck.Store(false)
	c.ok("NOOP")
}

// A fault in one session ends that session only.
func TestPanicEndsOneSession(t *testing.T) {
	s := newStack(t)
	s.server.registry.commands["BOOM"] = plain("BOOM", anyState, tellNothing, func(*session, context.Context) error { panic("boom") })
	c, d := s.signIn("ann"), s.signIn("ann")
	c.send("a BOOM\r\n")
	c.closed()
	d.ok("NOOP")
}
