package mailbox

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery/storage/command"
	"rookery/storage/uidset"
)

// Owners names every account and place of a body: copies in other mailboxes,
// other accounts of the same delivery, and expunged messages as places no more.
func TestOwners(t *testing.T) {
	f, a := newAccount(t, 0)
	b := accountID(2)
	do[*command.AccountResult](f, &command.CreateAccount{Account: b, Key: []byte("wrapped"), Roles: command.DefaultRoles(), Validity: 1000})
	f.deliver(a, 1, func(c *command.Deliver) {
		c.Deliveries = append(c.Deliveries, command.Delivery{Account: b, WrappedKey: []byte("key of b")})
	})
	shared := BodyID(f.index)
	f.deliver(a, 2)
	other := BodyID(f.index)
	f.deliver(a, 3)
	gone := BodyID(f.index)
	box := do[*command.MailboxResult](f, &command.CreateMailbox{Account: a, Name: "kept"}).Mailbox
	do[*command.CopyResult](f, &command.Copy{Account: a, From: Inbox, To: box, UIDs: uidset.New(1)})
	do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox, UIDs: uidset.New(3), Force: true})

	got, err := f.m.Owners(map[BodyID]bool{shared: true, gone: true, 999: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []Owner{
		{Body: shared, Account: a, Email: emailID(1), Key: []byte("key"), Places: []Place{{Inbox, "INBOX", 1}, {box, "kept", 1}}},
		{Body: gone, Account: a, Email: emailID(3), Key: []byte("key")},
		{Body: shared, Account: b, Email: emailID(1), Key: []byte("key of b"), Places: []Place{{Inbox, "INBOX", 1}}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got, err := f.m.Owners(map[BodyID]bool{other + 1000: true}); err != nil || got != nil {
		t.Errorf("owners of nothing: %v, %v", got, err)
	}
	if all, err := f.m.Bodies(0, 10); err != nil || len(all) != 3 || all[0].ID != shared || string(all[2].Layout) != "layout" {
		t.Errorf("bodies %+v, %v", all, err)
	}
	if one, err := f.m.Bodies(other, 1); err != nil || len(one) != 1 || one[0].ID != other {
		t.Errorf("bodies from %d: %+v, %v", other, one, err)
	}
}
