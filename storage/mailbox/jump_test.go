package mailbox

import (
	"testing"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/uidset"
)

// After a jump no number below is given again, everything counts as changed
// for clients of before, and what was filed keeps its UID and UIDVALIDITY.
func TestJump(t *testing.T) {
	f, a := newAccount(t, 0)
	first := f.deliver(a, 1)
	second := f.deliver(a, 2)
	do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox, UIDs: uidset.New(second.UID), Force: true})
	before := f.byName(a, "INBOX")
	highest := f.view(a)
	old := highest.Account().ModSeq
	highest.Close()
	do[*command.Done](f, &command.Jump{Recovery: "r", UIDs: 1000, ModSeqs: 5000, Mailboxes: 100})
	f.reopen()
	after := f.byName(a, "INBOX")
	if after.UIDValidity != before.UIDValidity || after.UIDNext != before.UIDNext+1000 || after.HighestModSeq != old+5000 {
		t.Errorf("INBOX was %+v and is %+v", before, after)
	}
	v := f.view(a)
	for _, since := range []rookery.ModSeq{0, old, old + 4999} {
		c, err := v.Changes(Inbox, since)
		if err != nil || c.Complete || len(c.Rows) != 1 || c.Rows[0].UID != first.UID || c.Rows[0].ModSeq <= since {
			t.Errorf("changes since %d: %+v, %v: want the whole mailbox, incomplete", since, c, err)
		}
	}
	if _, complete, err := v.Removed(old + 1); complete || err != nil {
		t.Errorf("deleted mailboxes count as known: %v", err)
	}
	v.Close()
	since := old + 4999 // what a client may hold of the lost future
	r := do[*command.StoreResult](f, &command.StoreFlags{Account: a, Mailbox: Inbox, UIDs: uidset.New(first.UID),
		Flags: command.FlagSeen, UnchangedSince: &since})
	if r.Modified.Len() != 1 {
		t.Errorf("UNCHANGEDSINCE of a lost future passes: %+v", r)
	}
	if third := f.deliver(a, 3); third.UID < before.UIDNext+1000 || third.ModSeq <= old+5000 {
		t.Errorf("the next message is %+v", third)
	}
	made := do[*command.MailboxResult](f, &command.CreateMailbox{Account: a, Name: "new", Validity: 1})
	if made.Mailbox < 100 || made.UIDValidity < 1100 {
		t.Errorf("the next mailbox is %+v", made)
	}
}

// A mailbox without room for the jump gets a new UIDVALIDITY instead.
func TestJumpWithoutRoom(t *testing.T) {
	f, a := newAccount(t, 0)
	before := f.byName(a, "INBOX")
	do[*command.Done](f, &command.Jump{Recovery: "r", UIDs: 0xf0000000, ModSeqs: 1})
	if after := f.byName(a, "INBOX"); after.UIDValidity <= before.UIDValidity || after.UIDNext != before.UIDNext {
		t.Errorf("INBOX was %+v and is %+v", before, after)
	}
}
