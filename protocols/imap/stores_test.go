package imap

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"rookery"
	"rookery/storage/account"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/message"
)

// readOnly is a store that takes no changes: another account's, in memory.
type readOnly struct {
	a    *account.Account
	away *atomic.Bool
}

func (r readOnly) ID() rookery.AccountID { return r.a.ID() }
func (r readOnly) Sync(ctx context.Context) error {
	if r.away.Load() {
		return rookery.E("sync", rookery.KindUnavailable, context.DeadlineExceeded)
	}
	return r.a.Sync(ctx)
}
func (r readOnly) View() (View, error) { return (&ownStore{Account: r.a}).View() }
func (r readOnly) Header(ctx context.Context, e mailbox.Email) (*message.Extract, error) {
	return r.a.Header(ctx, e)
}
func (r readOnly) Extract(ctx context.Context, e mailbox.Email) (*message.Extract, error) {
	return r.a.Extract(ctx, e)
}
func (r readOnly) Body(ctx context.Context, v View, e mailbox.Email) (*body.Reader, error) {
	return (&ownStore{Account: r.a}).Body(ctx, v, e)
}
func (r readOnly) WatchFunc(m rookery.MailboxID, fn func()) *account.Watch {
	return r.a.WatchFunc(m, fn)
}

// mounts gives ann a read-only store under each name.
func mounts(t *testing.T, names ...string) (*stack, *atomic.Bool) {
	away := &atomic.Bool{}
	var s *stack
	s = newStack(t, func(o *Options) {
		o.Mounts = func(_ context.Context, id rookery.AccountID) (all []Mount, _ error) {
			for _, name := range names {
				all = append(all, Mount{name, readOnly{s.account("yesterday"), away}})
			}
			return all, nil
		}
	})
	s.file("yesterday", "INBOX", "Subject: old one\r\n\r\nold text\r\n")
	s.file("yesterday", "INBOX", "Subject: old two\r\n\r\nold text\r\n")
	return s, away
}

func TestMountedStore(t *testing.T) {
	s, _ := mounts(t, "Backups")
	s.file("ann", "INBOX", "Subject: new\r\n\r\nnew text\r\n")
	c := s.signIn("ann")
	has(t, c.ok("NAMESPACE"), `* NAMESPACE (("" "/")("Backups/" "/")) NIL NIL`)
	list := c.ok(`LIST "" *`)
	has(t, list, `(\Noselect \HasChildren) "/" "Backups"`, `(\HasNoChildren) "/" "Backups/INBOX"`,
		`(\HasNoChildren) "/" "Backups/Sent Items"`, `\Sent) "/" "Sent Items"`)
	lacks(t, c.ok(`LIST "" %`), "Backups/")
	has(t, c.ok(`LIST "" Backups/% RETURN (STATUS (MESSAGES))`), `STATUS "Backups/INBOX" (MESSAGES 2)`)
	has(t, c.ok(`STATUS Backups/inbox (MESSAGES UIDNEXT)`), `(MESSAGES 2 UIDNEXT 3)`)
	c.fails("STATUS Backups/nowhere (MESSAGES)", "NO [NONEXISTENT]")
	has(t, c.ok("GETQUOTAROOT Backups/INBOX"), `* QUOTAROOT "Backups/INBOX"`)
	c.ok("SUBSCRIBE Backups/INBOX")
	has(t, c.ok(`LSUB "" *`), `"Backups/INBOX"`)

	has(t, c.ok("SELECT Backups/INBOX"), "* 2 EXISTS", "[PERMANENTFLAGS ()]", "[READ-ONLY]")
	has(t, c.ok("FETCH 1:* (ENVELOPE BODY[])"), `"old one"`, `"old two"`, "old text")
	lacks(t, c.ok("FETCH 1:* (FLAGS)"), `\Seen`)
	has(t, c.ok("SEARCH SUBJECT two"), "* SEARCH 2")
	for _, refused := range []string{`STORE 1 +FLAGS (\Deleted)`, "EXPUNGE", "MOVE 1 INBOX", "COPY 1 Backups/Drafts",
		"CREATE Backups/more", "DELETE Backups/Drafts", "RENAME Backups/Drafts Backups/x", "RENAME Drafts Backups/x",
		"APPEND Backups/Drafts {3+}\r\nabc"} {
		c.fails(refused, "NO [NOPERM]")
	}
	has(t, c.ok("COPY 1:2 INBOX"), "[COPYUID", " 1:2 2:3]")
	c.fails("COPY 1 nowhere", "NO [TRYCREATE]")
	c.ok("CLOSE")
	has(t, c.ok("SELECT INBOX"), "* 3 EXISTS", "[READ-WRITE]")
	has(t, c.ok("FETCH 2:3 (ENVELOPE BODY.PEEK[TEXT])"), `"old one"`, `"old two"`, "old text")
	c.fails("COPY 1 Backups/INBOX", "NO [NOPERM]")
	c.fails("MOVE 1 Backups/INBOX", "NO [NOPERM]")
}

// A session hears of changes in a mounted mailbox as in its own.
func TestMountedStoreTellsOfChanges(t *testing.T) {
	s, _ := mounts(t, "Other Users/yesterday")
	c := s.signIn("ann")
	has(t, c.ok("NAMESPACE"), `* NAMESPACE (("" "/")) (("Other Users/" "/")) NIL`)
	has(t, c.ok("EXAMINE \"Other Users/yesterday/INBOX\""), "* 2 EXISTS")
	s.file("yesterday", "INBOX", "Subject: old three\r\n\r\n\r\n")
	has(t, c.ok("NOOP"), "* 3 EXISTS")
	c.send("i IDLE\r\n")
	if l := c.line(); l != "+ idling" {
		t.Fatal(l)
	}
	s.file("yesterday", "INBOX", "Subject: old four\r\n\r\n\r\n")
	if l := c.line(); l != "* 4 EXISTS" {
		t.Error(l)
	}
	c.send("DONE\r\n")
	c.until("i")
}

// A store that does not answer hides nothing of the account's own.
func TestMountedStoreAway(t *testing.T) {
	s, away := mounts(t, "Backups")
	c := s.signIn("ann")
	away.Store(true)
	list := c.ok(`LIST "" *`)
	has(t, list, "* NO [UNAVAILABLE] Mailboxes below Backups/", `"Sent Items"`)
	lacks(t, list, `"Backups/`)
	c.fails("SELECT Backups/INBOX", "NO [UNAVAILABLE]")
	has(t, c.ok("STATUS INBOX (MESSAGES)"), "(MESSAGES 0)")
}

// Names kept for mounts: where the user has such a mailbox it wins, and it is
// not made anew.
func TestReservedNames(t *testing.T) {
	s, _ := mounts(t, "Backups")
	c := s.signIn("ann")
	plain := newStack(t).signIn("ann") // without mounts the names are kept as well
	c.ok("CREATE Backupsolutions")
	for _, on := range []*client{c, plain} {
		for _, name := range []string{"Backups", "\"Other Users\"", "\"Other Users/bob\""} {
			on.fails("CREATE "+name, "NO [CANNOT]")
			on.fails("RENAME Drafts "+name, "NO [CANNOT]")
		}
		on.fails("APPEND \"Other Users/bob\" {3+}\r\nabc", "NO [NONEXISTENT]")
	}
	plain.fails("CREATE Backups/x", "NO [CANNOT]")

	own := s.account("ann")
	if _, _, err := own.CreateMailbox(t.Context(), command.CreateMailbox{Name: "Backups/old"}); err != nil {
		t.Fatal(err)
	}
	list := c.ok(`LIST "" *`)
	has(t, list, `"Backups/old"`, `"Backups 2/INBOX"`)
	lacks(t, list, `"Backups/INBOX"`)
	has(t, c.ok("NAMESPACE"), `("Backups 2/" "/")`)
	has(t, c.ok("SELECT \"Backups 2/INBOX\""), "* 2 EXISTS")
	c.fails("STATUS Backups/INBOX (MESSAGES)", "NO [NONEXISTENT]")
	c.ok("CREATE Backups/more")
	c.ok("RENAME Backups/more Backups/moved")
	c.fails("CREATE \"Backups 2\"", "NO [CANNOT]")
	if strings.Contains(c.ok("SELECT Backups/old"), "[READ-ONLY]") {
		t.Error("the user's own mailbox is read-only")
	}
}
