package imap

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"rookery/protocols/imap/wire"
	"rookery/storage/mailbox"
)

// The patterns of one LIST are bounded together, with the reference that
// stands before each.
func TestListPatternsTogether(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	long := strings.Repeat("*a", 450)
	c.ok(`LIST "" (` + strings.TrimSpace(strings.Repeat(long+" ", 4)) + ")")
	has(t, c.fails(`LIST "" (`+strings.TrimSpace(strings.Repeat(long+" ", 5))+")", "NO [LIMIT]"), "4096 octets")
	c.fails(`LIST "`+strings.Repeat("x", 500)+`" (`+strings.TrimSpace(strings.Repeat("y ", 10))+")", "NO [LIMIT]")
	for _, verb := range []string{"LIST", "LSUB", "XLIST"} {
		c.fails(verb+` "`+strings.Repeat("*a", 3000)+`" *`, "NO [LIMIT]")
	}
	c.ok("NOOP")
}

// A listing ends with its time, in every loop of it.
func TestListEndsWithItsTime(t *testing.T) {
	s := newStack(t)
	c := s.signIn("ann")
	c.ok("CREATE a/b/c")
	c.ok("SUBSCRIBE a/b/c")
	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	o := &session{srv: s.server, own: &ownStore{Account: s.account("ann")}, out: wire.NewWriter(io.Discard, wire.NewBuffers(), func() {})}
	for name, run := range map[string]func(context.Context, listArgs) error{"LIST": o.runList, "LSUB": o.runLsub, "XLIST": o.runXlist} {
		if err := run(ctx, listArgs{patterns: []string{"%"}, extended: true}); err == nil || replyTo(err).code != "LIMIT" {
			t.Errorf("%s ended with %v", name, err)
		}
	}
	list, err := o.tree(context.Background(), []listed{{boxes: []mailbox.Mailbox{{Name: "a/b/c"}}}}, []string{"a/b/c"})
	if err != nil {
		t.Fatal(err)
	}
	all := func(*node) bool { return true }
	none := func(string) bool { return false }
	if err := markBelow(ctx, list, all, none); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("marking ended with %v", err)
	}
}
