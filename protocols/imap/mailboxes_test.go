package imap

import (
	"strings"
	"testing"

	"rookery/protocols/signin"
)

func TestMailboxes(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	has(t, c.ok("CREATE a/b/c"), "[MAILBOXID (F")
	c.fails("CREATE a/b/c", "NO [ALREADYEXISTS]")
	c.fails("CREATE inbox", "NO [ALREADYEXISTS]")
	c.ok("CREATE x/")
	c.fails("DELETE INBOX", "NO [CANNOT]")
	c.fails("DELETE nowhere", "NO [NONEXISTENT]")
	c.fails("RENAME nowhere y", "NO [NONEXISTENT]")
	c.fails("RENAME x a", "NO [ALREADYEXISTS]")
	c.ok("SUBSCRIBE x")
	c.ok("RENAME x y")
	has(t, c.ok(`LSUB "" *`), `"y"`)
	c.ok("UNSUBSCRIBE y")
	c.ok("UNSUBSCRIBE y")
	lacks(t, c.ok(`LSUB "" *`), `"y"`)
	c.ok("DELETE a/b/c")
	c.ok("DELETE y")
	lacks(t, c.ok(`LIST "" *`), `"y"`, `"a/b/c"`)
	c.fails("STATUS y (MESSAGES)", "NO [NONEXISTENT]")
	c.fails("CREATE "+strings.Repeat("x", 300), "NO")
	c.fails("CREATE a//b", "NO [CANNOT]")
}

func TestSpecialUse(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	for _, list := range []string{`LIST "" *`, `LSUB "" *`, `XLIST "" *`, `LIST (SPECIAL-USE) "" *`, `LIST "" * RETURN (SPECIAL-USE)`} {
		text := c.ok(list)
		for _, role := range []string{`\Sent) "/" "Sent Items"`, `\Trash) "/" "Deleted Items"`, `\Drafts) "/" "Drafts"`,
			`\Archive) "/" "Archive"`} {
			has(t, text, role)
		}
		has(t, text, `\Junk`)
		if strings.Contains(list, "(SPECIAL-USE) ") {
			lacks(t, text, "INBOX")
		}
	}
	has(t, c.ok(`XLIST "" *`), `\Inbox) "/" "INBOX"`)
	c.fails(`CREATE Bought (USE (\Flagged))`, "NO [USEATTR]")
	c.fails(`CREATE Bought (USE (\Sent))`, "NO [USEATTR]")
	c.ok("DELETE Archive")
	c.ok(`CREATE Old (USE (\Archive))`)
	has(t, c.ok(`LIST (SPECIAL-USE) "" *`), `\Archive) "/" "Old"`)
}

func TestList(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	for _, name := range []string{"a", "a/b", "a/b/c", "z"} {
		c.ok("CREATE " + name)
	}
	if got := c.ok(`LIST "" ""`); !strings.HasPrefix(got, `* LIST (\Noselect) "/" ""`) {
		t.Error(got)
	}
	top := c.ok(`LIST "" %`)
	has(t, top, `* LIST (\HasChildren) "/" "a"`, `* LIST (\HasNoChildren) "/" "z"`, `"INBOX"`)
	lacks(t, top, `"a/b"`)
	has(t, c.ok(`LIST "a/" %`), `"a/b"`)
	has(t, c.ok(`LIST "" inb*`), `"INBOX"`)
	c.ok("DELETE a/b")
	has(t, c.ok(`LIST "" a/%`), `* LIST (\Noselect \HasChildren) "/" "a/b"`)
	has(t, c.ok(`LIST "" a/% RETURN (CHILDREN)`), `* LIST (\NonExistent \HasChildren) "/" "a/b"`)
	if got := c.ok(`LIST "" "&no utf-7"`); strings.Contains(got, "* LIST") {
		t.Error(got)
	}
	c.ok("SUBSCRIBE a/b/c")
	has(t, c.ok(`LIST (SUBSCRIBED) "" a/*`), `\Subscribed) "/" "a/b/c"`)
	has(t, c.ok(`LIST (SUBSCRIBED RECURSIVEMATCH) "" %`), `"a" ("CHILDINFO" ("SUBSCRIBED"))`)
	has(t, c.ok(`LSUB "" %`), `* LSUB (\Noselect \HasChildren) "/" "a"`)
	lacks(t, c.ok(`LSUB "" *`), `"/" "a"`)
	both := c.ok(`LIST "" (INBOX z) RETURN (SUBSCRIBED STATUS (MESSAGES UNSEEN SIZE))`)
	has(t, both, `"INBOX"`, `* STATUS "z" (MESSAGES 0 UNSEEN 0 SIZE 0)`)
	c.ok("SUBSCRIBE ghost")
	has(t, c.ok(`LIST (SUBSCRIBED) "" gh*`), `\NonExistent`, `"ghost"`)
	lacks(t, c.ok(`LIST "" gh*`), "ghost\"")
}

func TestStatusAndQuota(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	c.append("INBOX", `(\Deleted)`, hello)
	has(t, c.ok("STATUS INBOX (MESSAGES RECENT UIDNEXT UNSEEN DELETED SIZE APPENDLIMIT DELETED-STORAGE)"),
		`(MESSAGES 1 RECENT 0 UIDNEXT 2 UNSEEN 1 DELETED 1 SIZE 170 APPENDLIMIT 67108864 DELETED-STORAGE 170)`)
	has(t, c.ok("STATUS INBOX (UIDVALIDITY HIGHESTMODSEQ MAILBOXID)"), "MAILBOXID (F", "HIGHESTMODSEQ ")
	// An account without a limit has no root.
	root := c.ok("GETQUOTAROOT INBOX")
	has(t, root, "* QUOTAROOT \"INBOX\"\n")
	lacks(t, root, "* QUOTA ")
	c.fails(`GETQUOTA ""`, "NO [NONEXISTENT]")
	c.fails("GETQUOTA other", "NO [NONEXISTENT]")

	s = newStackSigning(t, signin.Options{DefaultQuota: func() int64 { return 2048 }})
	c = s.signIn("ann")
	c.append("INBOX", "", hello)
	has(t, c.ok(`GETQUOTA ""`), `* QUOTA "" (STORAGE 1 2)`)
	has(t, c.ok("GETQUOTAROOT nowhere"), `* QUOTAROOT "nowhere" ""`, `* QUOTA "" (STORAGE 1 2)`)
	if got := c.append("INBOX", "", hello+strings.Repeat("x", 3000)); !strings.Contains(got, "NO [OVERQUOTA]") {
		t.Error(got)
	}
	c.ok("SELECT INBOX")
	for range 11 {
		c.do("COPY 1 Archive")
	}
	c.fails("COPY 1 Archive", "NO [OVERQUOTA]")
}

func TestAppend(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	if got := c.append("nowhere", "", hello); !strings.Contains(got, "NO [TRYCREATE]") {
		t.Error(got)
	}
	if got := c.append("INBOX", `(\Seen $Label1) "01-Feb-2020 03:04:05 +0200"`, hello); !strings.Contains(got, "[APPENDUID ") {
		t.Error(got)
	}
	c.ok("SELECT INBOX")
	has(t, c.ok("FETCH 1 (FLAGS INTERNALDATE)"), `FLAGS (\Seen $Label1)`, `INTERNALDATE " 1-Feb-2020 01:04:05 +0000"`)
	c.send("a APPEND INBOX {" + "5+}\r\nhello\r\n")
	u, tagged := c.until("a")
	has(t, strings.Join(u, "\n"), "* 2 EXISTS")
	has(t, tagged, "APPENDUID")
	c.fails("APPEND INBOX {0+}\r\n", "NO")
	c.send("a APPEND INBOX ~{7+}\r\na\r\n\x00\r\nb\r\n")
	if _, tagged := c.until("a"); !strings.HasPrefix(tagged, "NO [UNKNOWN-CTE]") {
		t.Error(tagged)
	}
	c.fails("APPEND INBOX ~{9+}\r\na: b\n\nc\r\n", "NO [UNKNOWN-CTE]")
	c.ok("APPEND INBOX ~{11+}\r\na: b\r\n\r\nc\r\n")
	c.fails("APPEND INBOX UTF8 (~{5+}\r\nhello)", "BAD")
	c.ok("ENABLE UTF8=ACCEPT")
	c.ok("APPEND INBOX UTF8 (~{5+}\r\nhello)")
	if got := c.append("INBOX", "", strings.Repeat("0123456789abcde\r\n", 200_000)); !strings.HasPrefix(got, "OK") {
		t.Error(got)
	}
	has(t, c.ok("FETCH 5 RFC822.SIZE"), "RFC822.SIZE 3400000")
	if n := len(c.ok("FETCH 5 BODY.PEEK[]")); n < 3_400_000 {
		t.Errorf("%d octets came back", n)
	}
	c.fails("APPEND INBOX {100000000}", "NO [TOOBIG]")
	c.ok("NOOP")
}
