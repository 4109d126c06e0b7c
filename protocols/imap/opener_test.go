package imap

import (
	"fmt"
	"strings"
	"testing"
)

// TestFetchInOrder: messages are opened on another core, and still come in
// order, each with its own content, over several batches.
func TestFetchInOrder(t *testing.T) {
	s := newStack(t)
	const messages = headerBatch*2 + 7
	for i := 1; i <= messages; i++ {
		s.file("ann", "INBOX", fmt.Sprintf("Subject: number %d\r\n\r\nbody\r\n", i))
	}
	c := s.signIn("ann")
	c.ok("SELECT INBOX")
	for _, item := range []string{"ENVELOPE", "BODY.PEEK[HEADER]", "BODY.PEEK[HEADER.FIELDS (Subject)] BODY.PEEK[TEXT]"} {
		rest := fmt.Sprint(c.ok("FETCH 1:* (" + item + ")"))
		for i := 1; i <= messages; i++ {
			var ok bool
			if _, rest, ok = strings.Cut(rest, fmt.Sprintf("* %d FETCH (", i)); !ok {
				t.Fatalf("%s: message %d is not in its place", item, i)
			}
			if end := strings.Index(rest, " FETCH ("); !strings.Contains(rest[:max(end, 0)], fmt.Sprintf("number %d", i)) && i < messages {
				t.Fatalf("%s: message %d has another's content: %.200s", item, i, rest)
			}
		}
	}
}
