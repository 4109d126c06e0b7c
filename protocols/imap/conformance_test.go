package imap

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/storage/mailbox"
	"rookery/storage/message"
)

// TestSelectNamesTheFirstUnseen has it at the front, at the end, in the middle
// of many and nowhere.
func TestSelectNamesTheFirstUnseen(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	lacks(t, c.ok("SELECT INBOX"), "UNSEEN")
	s.fill("ann", 1500)
	c.ok("SELECT INBOX")
	c.ok(`STORE 1:* +FLAGS.SILENT (\Seen)`)
	lacks(t, c.ok("EXAMINE INBOX"), "[UNSEEN")
	c.ok("SELECT INBOX")
	for _, first := range []int{1500, 1499, 980, 700, 512, 2, 1} {
		c.ok(fmt.Sprintf(`STORE %d -FLAGS.SILENT (\Seen)`, first))
		has(t, c.ok("EXAMINE INBOX"), fmt.Sprintf("* OK [UNSEEN %d] ", first))
		c.ok("SELECT INBOX")
	}
	c.ok("ENABLE IMAP4rev2")
	lacks(t, c.ok("SELECT INBOX"), "[UNSEEN")
}

// TestKeywordsAreNamedBeforeTheyAreUsed has another session bring a keyword.
func TestKeywordsAreNamedBeforeTheyAreUsed(t *testing.T) {
	s := newStack(t)
	a, b := s.signIn("ann"), s.signIn("ann")
	a.append("INBOX", "", hello)
	a.ok("SELECT INBOX")
	b.ok("SELECT INBOX")
	b.ok("STORE 1 +FLAGS (fresh)")
	got := a.ok("FETCH 1 FLAGS")
	named, used := strings.Index(got, "* FLAGS ("), strings.Index(got, "* 1 FETCH")
	if named < 0 || used < named || !strings.Contains(got[named:used], "fresh") {
		t.Error(got)
	}
	lacks(t, a.ok("FETCH 1 FLAGS"), "* FLAGS (")
}

// TestSearchFindsAddresses has comments and blanks within an address.
func TestSearchFindsAddresses(t *testing.T) {
	c := fetched(t, "From: Ann <ann (at work) @ example.org>\r\nTo: \"b\" @example.com (Bob)\r\nSubject: x\r\n\r\nx\r\n", hello)
	for query, want := range map[string]string{
		"FROM ann@example.org": "1 2", "TO b@example.com": "1", "FROM work": "1", "FROM (at": "1", "CC ann@example.org": "",
		"HEADER From ann@example.org": "2",
	} {
		query = strings.ReplaceAll(query, "(at", `"(at"`)
		got := strings.TrimSpace(strings.TrimPrefix(strings.Split(c.ok("SEARCH "+query), "\n")[0], "* SEARCH"))
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// TestModSeqOfMinAndMax is RFC 4731 3.2.
func TestModSeqOfMinAndMax(t *testing.T) {
	c := fetched(t, hello, hello, hello)
	c.ok("FETCH 1 (MODSEQ)")
	c.ok("STORE 3 +FLAGS (one)")
	c.ok("STORE 1 +FLAGS (two)")
	c.ok("STORE 2 +FLAGS (three)")
	modseq := func(n int) string {
		_, rest, _ := strings.Cut(c.ok(fmt.Sprintf("FETCH %d MODSEQ", n)), "MODSEQ (")
		m, _, _ := strings.Cut(rest, ")")
		return m
	}
	one, two, three := modseq(1), modseq(2), modseq(3)
	for options, want := range map[string]string{
		"MIN": one, "MAX": three, "MIN MAX": one, "ALL": two, "COUNT": two, "MIN COUNT": two, "MAX ALL": two,
	} {
		has(t, c.ok("SEARCH RETURN ("+options+") MODSEQ 1"), " MODSEQ "+want+"\n")
	}
}

// TestFieldNamesAreBounded asks for the same names in many sections.
func TestFieldNamesAreBounded(t *testing.T) {
	c := fetched(t, hello)
	names := func(n int) string { return strings.TrimSpace(strings.Repeat("x-a ", n)) }
	has(t, c.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS ("+names(99)+" SubJect)]"), "Subject: ")
	c.fails("FETCH 1 BODY.PEEK[HEADER.FIELDS ("+names(101)+")]", "BAD")
}

// TestLongID sends the largest ID that RFC 2971 3.3 allows.
func TestLongID(t *testing.T) {
	s := newStack(t)
	c := s.dial(true)
	var fields []string
	for i := range 30 {
		fields = append(fields, fmt.Sprintf(`"%030d" "%s"`, i, strings.Repeat("v", 1024)))
	}
	has(t, c.ok("ID ("+strings.Join(fields, " ")+")"), "* ID (")
	c.fails("ID ("+strings.Join(append(fields, `"more" "x"`), " ")+")", "BAD")
	c.ok("NOOP")
}

// TestLiteralPlus appends without waiting (RFC 7888).
func TestLiteralPlus(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	text := "Subject: x\r\n\r\n" + strings.Repeat("0123456789abcde\r\n", 100_000)
	c.ok(fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(text), text))
	c.ok("SELECT INBOX")
	has(t, c.ok("FETCH 1 RFC822.SIZE"), fmt.Sprint("RFC822.SIZE ", len(text)))
}

// TestNoRoomOnTheDisk refuses what SMTP answers 452 for.
func TestNoRoomOnTheDisk(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	c.append("INBOX", "", hello)
	c.ok("SELECT INBOX")
	full := delivery.New(delivery.Options{
		Accounts: s.store, Log: s.log, Node: "n1", TempDir: t.TempDir(),
		Room: func() error {
			return rookery.E("accept message", rookery.KindLimit, errors.New("the disk is nearly full"))
		},
	})
	s.server.o.Deliver = full
	c = s.signIn("ann")
	c.ok("SELECT INBOX")
	if got := c.append("INBOX", "", hello); !strings.Contains(got, "NO [LIMIT] the disk is nearly full") {
		t.Error(got)
	}
	c.fails("COPY 1 Archive", "NO [LIMIT]")
	c.ok("MOVE 1 Archive")
}

// noExtracts is a store whose extracts cannot be opened.
type noExtracts struct{ readOnly }

func (noExtracts) Header(context.Context, mailbox.Email) (*message.Extract, error) {
	return nil, rookery.E("open extract", rookery.KindDamaged, nil)
}

func (noExtracts) Extract(context.Context, mailbox.Email) (*message.Extract, error) {
	return nil, rookery.E("open extract", rookery.KindDamaged, nil)
}

// TestBodyNeedsNoExtract fetches messages whose extracts cannot be opened.
func TestBodyNeedsNoExtract(t *testing.T) {
	var s *stack
	s = newStack(t, func(o *Options) {
		o.Mounts = func(context.Context, rookery.AccountID) ([]Mount, error) {
			return []Mount{{"Backups", noExtracts{readOnly{s.account("yesterday"), &atomic.Bool{}}}}}, nil
		}
	})
	s.file("yesterday", "INBOX", "Subject: one\r\n\r\nold text\r\n")
	c := s.signIn("ann")
	c.ok("SELECT Backups/INBOX")
	has(t, c.ok("FETCH 1 (RFC822.SIZE BODY.PEEK[])"), "RFC822.SIZE 26", "BODY[] {26}", "old text")
	has(t, c.ok("FETCH 1 BODY.PEEK[]<9.3>"), "BODY[]<9> {3}", "one")
	c.fails("FETCH 1 ENVELOPE", "NO [SERVERBUG]")
}
