package imap

import (
	"fmt"
	"strings"
	"testing"
)

func TestStore(t *testing.T) {
	c := fetched(t, hello, hello, hello)
	has(t, c.ok(`STORE 1:2 +FLAGS (\Seen $A)`), `* FLAGS (`, `$A`, `* 1 FETCH (FLAGS (\Seen $A))`, `* 2 FETCH (FLAGS (\Seen $A))`)
	has(t, c.ok(`STORE 1 -FLAGS (\Seen)`), `* 1 FETCH (FLAGS ($A))`)
	has(t, c.ok(`STORE 1 FLAGS (\Flagged)`), `* 1 FETCH (FLAGS (\Flagged))`)
	lacks(t, c.ok(`STORE 1 +FLAGS.SILENT (\Draft)`), "FETCH")
	has(t, c.ok(`UID STORE 3 FLAGS \Answered`), `* 3 FETCH (UID 3 FLAGS (\Answered))`)
	has(t, c.ok(`STORE 1 FLAGS ()`), `* 1 FETCH (FLAGS ())`)
	c.ok(`STORE 1 +FLAGS (\Recent)`)
	c.fails(`STORE 1 +FLAGS (\Foo)`, "NO [CANNOT]")
	lacks(t, c.ok("NOOP"), "FETCH")
}

func TestCopyAndMove(t *testing.T) {
	c := fetched(t, hello, hello, hello)
	has(t, c.ok("COPY 1:2 Archive"), "[COPYUID ", " 1:2 1:2]")
	c.fails("COPY 1 nowhere", "NO [TRYCREATE]")
	c.fails("MOVE 1 nowhere", "NO [TRYCREATE]")
	got := c.ok("MOVE 1:2 Archive")
	has(t, got, "* OK [COPYUID ", " 1:2 3:4]", "* 2 EXPUNGE\n* 1 EXPUNGE")
	has(t, c.ok("UID MOVE 3 Drafts"), "* 1 EXPUNGE")
	has(t, c.ok("UID COPY 77 Archive"), "OK UID COPY")
	has(t, c.ok("STATUS Archive (MESSAGES)"), "MESSAGES 4")
	has(t, c.ok("SELECT Archive"), "* 4 EXISTS")
	// COPY to the same mailbox shows at once.
	has(t, c.ok("COPY 1 Archive"), "* 5 EXISTS")
	c.ok(`STORE 1,3 +FLAGS.SILENT (\Deleted)`)
	got = c.ok("UID EXPUNGE 3")
	has(t, got, "* 3 EXPUNGE")
	lacks(t, got, "* 1 EXPUNGE")
	lacks(t, c.ok("CLOSE"), "EXPUNGE")
	has(t, c.ok("STATUS Archive (MESSAGES)"), "MESSAGES 3")
}

func TestCondstore(t *testing.T) {
	s := newStack(t)
	a, b := s.signIn("ann"), s.signIn("ann")
	for range 3 {
		a.append("INBOX", "", hello)
	}
	has(t, a.ok("SELECT INBOX (CONDSTORE)"), "[HIGHESTMODSEQ ")
	b.ok("SELECT INBOX")
	before := between(a.ok("FETCH 1 MODSEQ"), "MODSEQ (", ")")
	b.ok(`STORE 1 +FLAGS (\Seen)`)
	got := a.ok("NOOP")
	has(t, got, "* 1 FETCH (UID 1 MODSEQ (", `FLAGS (\Seen))`)
	after := between(got, "MODSEQ (", ")")
	if before == after {
		t.Error("the MODSEQ did not rise")
	}
	has(t, a.fails(`STORE 1:2 (UNCHANGEDSINCE `+before+`) +FLAGS (\Flagged)`, "OK [MODIFIED 1"))
	has(t, a.ok("STORE 2 (UNCHANGEDSINCE 1000) +FLAGS.SILENT (\\Draft)"), "* 2 FETCH (UID 2 MODSEQ (")
	got = a.ok("FETCH 1:3 (FLAGS) (CHANGEDSINCE " + between(a.ok("FETCH 3 MODSEQ"), "MODSEQ (", ")") + ")")
	has(t, got, "* 1 FETCH", "MODSEQ (")
	lacks(t, got, "* 3 FETCH")
	got = b.ok("NOOP")
	lacks(t, got, "MODSEQ")
	has(t, got, "* 2 FETCH (FLAGS (")
	has(t, b.ok("SEARCH RETURN (COUNT) MODSEQ 1"), "COUNT 3 MODSEQ ", "[HIGHESTMODSEQ ")
	lacks(t, b.ok("ENABLE CONDSTORE"), "ENABLED CONDSTORE")
}

func TestQresync(t *testing.T) {
	s := newStack(t)
	a, b := s.signIn("ann"), s.signIn("ann")
	for range 6 {
		a.append("INBOX", "", hello)
	}
	opened := a.ok("SELECT INBOX")
	validity, modseq := between(opened, "[UIDVALIDITY ", "]"), between(opened, "[HIGHESTMODSEQ ", "]")
	a.ok("UNSELECT")
	b.ok("SELECT INBOX")
	b.ok(`STORE 2,5 +FLAGS (\Deleted)`)
	b.ok("EXPUNGE")
	b.ok(`STORE 1 +FLAGS (\Flagged)`)
	b.append("INBOX", "", hello)
	a.fails(fmt.Sprintf("SELECT INBOX (QRESYNC (%s %s))", validity, modseq), "BAD")
	has(t, a.ok("ENABLE QRESYNC CONDSTORE"), "* ENABLED QRESYNC")
	got := a.ok(fmt.Sprintf("SELECT INBOX (QRESYNC (%s %s 1:6 (1,3 1,3)))", validity, modseq))
	has(t, got, "* VANISHED (EARLIER) 2,5", `* 1 FETCH (UID 1 MODSEQ (`, `FLAGS (\Flagged)`)
	lacks(t, got, "(UID 7")
	has(t, a.ok(fmt.Sprintf("SELECT INBOX (QRESYNC (%s %s))", validity, modseq)), "(UID 7")
	lacks(t, a.ok(fmt.Sprintf("SELECT INBOX (QRESYNC (%s %s))", "1", modseq)), "VANISHED")
	b.ok(`STORE 2 +FLAGS (\Deleted)`)
	b.ok("EXPUNGE")
	has(t, a.ok("NOOP"), "* VANISHED 3")
	has(t, a.ok("UID FETCH 1:9 (FLAGS) (CHANGEDSINCE "+modseq+" VANISHED)"), "* VANISHED (EARLIER) 2:3,5", "* 1 FETCH (UID 1")
	a.ok(`STORE 1 +FLAGS (\Deleted)`)
	got = a.ok("EXPUNGE")
	has(t, got, "* VANISHED 1", "OK [HIGHESTMODSEQ ")
	lacks(t, got, "EXPUNGE\n*")
	got = a.ok("UID MOVE 4 Archive")
	has(t, got, "* VANISHED 4", "[COPYUID ")
}

func TestPushInIdle(t *testing.T) {
	s := newStack(t)
	a, b := s.signIn("ann"), s.signIn("ann")
	for range 3 {
		a.append("INBOX", "", hello)
	}
	a.ok("SELECT INBOX")
	b.ok("SELECT INBOX")
	a.send("i IDLE\r\n")
	if l := a.line(); !strings.HasPrefix(l, "+ ") {
		t.Fatal(l)
	}
	for range 20 {
		b.ok(`STORE 2 +FLAGS (\Flagged)`)
		if l := a.line(); l != `* 2 FETCH (FLAGS (\Flagged))` {
			t.Fatal(l)
		}
		b.ok(`STORE 2 -FLAGS (\Flagged)`)
		if l := a.line(); l != `* 2 FETCH (FLAGS ())` {
			t.Fatal(l)
		}
	}
	b.ok("MOVE 1 Archive")
	if l := a.line(); l != `* 1 EXPUNGE` {
		t.Fatal(l)
	}
	s.file("ann", "INBOX", hello)
	if l := a.line(); l != `* 3 EXISTS` {
		t.Fatal(l)
	}
	a.send("DONE\r\n")
	a.until("i")
	// Anything but DONE ends IDLE with BAD and leaves the session in step.
	a.send("j IDLE\r\n")
	a.line()
	a.send("k NOOP\r\n")
	if _, tagged := a.until("j"); !strings.HasPrefix(tagged, "BAD") {
		t.Fatal(tagged)
	}
	a.ok("NOOP")
}

func TestDeletedMailbox(t *testing.T) {
	s := newStack(t)
	a, b := s.signIn("ann"), s.signIn("ann")
	a.ok("CREATE x")
	a.append("x", "", hello)
	a.ok("SELECT x")
	b.ok("DELETE x")
	lacks(t, a.fails("FETCH 1 FLAGS", ""), "panic")
	has(t, a.ok("NOOP"), "* 1 EXPUNGE", "[NONEXISTENT]")
	a.fails("FETCH 1 FLAGS", "NO [NONEXISTENT]")
	a.fails("SEARCH ALL", "NO [NONEXISTENT]")
	a.fails("EXPUNGE", "NO [NONEXISTENT]")
	a.ok("SELECT INBOX")
}
