package imap

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rookery/storage/search"
)

func TestSearch(t *testing.T) {
	s := newStack(t, func(o *Options) { o.Clock = func() time.Time { return time.Now().Add(time.Hour) } })
	c := s.signIn("ann")
	c.append("INBOX", `(\Seen $Work) "01-Feb-2020 03:04:05 +0000"`, hello)
	c.append("INBOX", `(\Flagged)`, nested)
	c.append("INBOX", ``, "Subject: plain\r\nX-Empty:\r\n\r\nnothing to see\r\nwrapped\r\nline\r\n")
	c.ok("SELECT INBOX")
	email := between(c.ok("FETCH 2 EMAILID"), "EMAILID (", ")")
	thread := between(c.ok("FETCH 2 THREADID"), "THREADID (", ")")
	modseq := between(c.ok("FETCH 3 MODSEQ"), "MODSEQ (", ")")
	for query, want := range map[string]string{
		"ALL": "1 2 3", "SEEN": "1", "UNSEEN": "2 3", "FLAGGED": "2", "KEYWORD $work": "1", "UNKEYWORD $Work": "2 3",
		"NOT SEEN NOT FLAGGED": "3", "OR SEEN FLAGGED": "1 2", "(SEEN) (NOT FLAGGED)": "1", "1:2": "1 2", "UID 2:*": "2 3",
		"UID 9:*": "3", "NEW": "", "OLD": "1 2 3",
		"BEFORE 2-Feb-2020": "1", "ON 1-Feb-2020": "1", "SINCE 1-Jan-2021": "2 3", `SENTON "2-Mar-2026"`: "1 2",
		"SENTBEFORE 2-Mar-2026": "", "SENTSINCE 1-Mar-2026": "1 2",
		"LARGER 200": "2", "SMALLER 100": "3", "YOUNGER 7200": "2 3", "OLDER 7200": "1", "SAVEDSINCE 1-Jan-2021": "1 2 3",
		"SUBJECT hello": "1", "SUBJECT grüße": "2", "FROM ann@example.org": "1 2", "TO bob": "1", "CC bob": "",
		"HEADER X-Empty \"\"": "3", "HEADER Message-ID 1@": "1", "HEADER subject inner": "",
		"BODY test": "1", `BODY "grüße aus köln"`: "2", `BODY "inner html"`: "2", "BODY hello": "1", "TEXT ann": "1 2",
		"TEXT \"subject: inner\"": "2", "BODY AAEC": "", `TEXT "see wrapped line"`: "3",
		"EMAILID " + email: "2", "EMAILID nope": "", "THREADID " + thread: "2", "BODY \"\"": "1 2 3", "TEXT x SEEN": "1",
		"SAVEDATESUPPORTED": "1 2 3",
	} {
		if strings.Contains(query, "TEXT x") {
			want = "1" // example.org
		}
		got := c.ok("SEARCH " + literals(query))
		line := strings.TrimSpace(strings.TrimPrefix(strings.Split(got, "\n")[0], "* SEARCH"))
		if line != want {
			t.Errorf("SEARCH %s gave %q, want %q", query, line, want)
		}
	}
	has(t, c.ok("SEARCH MODSEQ "+modseq), "* SEARCH 3 (MODSEQ "+modseq+")")
	has(t, c.ok(`SEARCH CHARSET UTF-8 SUBJECT {7+}`+"\r\nGrüße"), "* SEARCH 2")
	c.fails("SEARCH CHARSET KOI8-R ALL", "NO [BADCHARSET (US-ASCII UTF-8)]")
	// Numbers beyond the mailbox match nothing; other commands refuse them.
	if got := c.ok("SEARCH 4"); !strings.HasPrefix(got, "* SEARCH\n") {
		t.Error(got)
	}
	has(t, c.ok("SEARCH 3:9"), "* SEARCH 3\n")
	has(t, c.ok("SEARCH NOT 4:9"), "* SEARCH 1 2 3\n")
	c.fails("FETCH 4 UID", "BAD")
	c.fails("STORE 4 FLAGS ()", "BAD")
	c.fails("COPY 4 Archive", "BAD")
}

// literals sends what is not ASCII as it is: the lexer takes UTF-8 in quotes.
func literals(q string) string {
	if strings.Contains(q, "grüße") && !strings.Contains(q, `"`) {
		return strings.Replace(q, "grüße", `"grüße"`, 1)
	}
	return q
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

func TestESearch(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	for range 5 {
		c.append("INBOX", "", hello)
	}
	c.ok("SELECT INBOX")
	c.ok(`STORE 3 +FLAGS (\Deleted)`)
	c.ok("EXPUNGE")
	has(t, c.ok("SEARCH RETURN (MIN MAX COUNT) ALL"), `* ESEARCH (TAG "t10") MIN 1 MAX 4 COUNT 4`)
	has(t, c.ok("UID SEARCH RETURN () ALL"), `UID ALL 1:2,4:5`)
	has(t, c.ok("SEARCH RETURN (MIN) 2:*"), "MIN 2")
	has(t, c.ok("SEARCH RETURN (COUNT) DELETED"), "COUNT 0")
	lacks(t, c.ok("SEARCH RETURN (SAVE) 2:3"), "ESEARCH")
	has(t, c.ok("FETCH $ UID"), "* 2 FETCH (UID 2)", "* 3 FETCH (UID 4)")
	has(t, c.ok("SEARCH $"), "* SEARCH 2 3")
	has(t, c.ok("UID SEARCH RETURN (SAVE MAX) ALL"), "MAX 5")
	has(t, c.ok("UID FETCH $ UID"), "* 4 FETCH (UID 5)")
	c.ok("COPY $ Archive")
	c.fails("SEARCH RETURN (SAVE) CHARSET X ALL", "NO")
	c.ok(`STORE $ +FLAGS (\Deleted)`)
	c.ok("EXPUNGE")
	has(t, c.ok("SEARCH $"), "* SEARCH\n")
	c.ok("ENABLE IMAP4rev2")
	has(t, c.ok("SEARCH ALL"), "ESEARCH (TAG ", "ALL 1:3")
}

// Keys that read contents are bounded in number, each message is read once for
// all of them, and a search has its time.
func TestSearchIsBounded(t *testing.T) {
	s := newStack(t, func(o *Options) { o.Limits.Search = time.Minute })
	c := s.signIn("ann")
	s.file("ann", "INBOX", strings.Repeat("A:b\r\n", 150_000)+"\r\nbody\r\n")
	s.file("ann", "INBOX", "Subject: large\r\n\r\n"+strings.Repeat("Some words, as they come, in a line of text.\r\n", 200_000))
	c.ok("SELECT INBOX")
	keys := func(n int, form string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, form+" ", i)
		}
		return b.String() + "ALL"
	}
	for _, q := range []string{keys(32, "NOT BODY x%d"), keys(32, "NOT TEXT x%d"), keys(100, "NOT HEADER A x%d"),
		keys(100, "NOT HEADER A%d x"), keys(100, "SENTSINCE 1-Jan-20%02d"), keys(100, "UID 1:1%d")} {
		began := time.Now()
		c.ok("SEARCH " + q)
		t.Logf("%.30s: %v", q, time.Since(began))
	}
	for _, q := range []string{keys(33, "NOT BODY x%d"), keys(33, "OR TEXT x%d"), keys(101, "NOT HEADER A x%d"),
		keys(101, "FROM x%d"), keys(101, "SENTSINCE 1-Jan-2%03d"), keys(101, "UID 1:1%d"),
		"SUBJECT " + strings.Repeat("x", 5000)} {
		has(t, c.fails("SEARCH "+q, "NO [LIMIT]"), "SEARCH")
	}
	has(t, c.ok("SEARCH OR BODY words BODY nothing NOT TEXT nothing TEXT large"), "* SEARCH 2\n")
	has(t, c.ok("SEARCH BODY body NOT BODY words"), "* SEARCH 1\n")
}

// A search over its time says so.
func TestSearchEndsWithItsTime(t *testing.T) {
	s := newStack(t, func(o *Options) { o.Limits.Search = time.Nanosecond })
	c := s.signIn("ann")
	c.append("INBOX", "", hello)
	c.ok("SELECT INBOX")
	has(t, c.fails("SEARCH BODY x", "NO [LIMIT]"), "took longer than 1ns")
}

// A search ends when its client is gone.
func TestSearchEndsWithItsClient(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	c.append("INBOX", "", hello)
	v, err := s.account("ann").View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	uids, _ := v.UIDs(1)
	r := &searcher{session: &session{srv: s.server,
		sel: &selected{store: &ownStore{Account: s.account("ann")}, id: 1, uids: uids}}, ctx: ctx, key: search.Text("x")}
	if err := r.run(uids); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
