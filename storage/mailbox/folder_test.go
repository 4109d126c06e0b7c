package mailbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/uidset"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("x", MaxLevel)
	for name, want := range map[string]string{
		"inbox": "INBOX", "InBox/a": "INBOX/a", "inboxes": "inboxes", "a/inbox": "a/inbox",
		"a/": "a", "a/b": "a/b", "Thư đã gửi": "Thư đã gửi", "Cafe\u0301": "Café", long: long, "a%b*": "a%b*", "日本": "日本",
	} {
		if got, err := CheckName(name); got != want || err != nil {
			t.Errorf("%q is %q, %v, want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"", "/", "/a", "a//b", "a//", "a\x00b", "a\r\n", "\x7f", "\u0085", "a\u2028", "\xff", long + "y",
		strings.Repeat("a/", MaxName/2) + "abc"} {
		if got, err := CheckName(name); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("%q passes as %q, %v", name, got, err)
		}
	}
}

func TestAccountStartsWithItsRoleFolders(t *testing.T) {
	f, a := newAccount(t, 500)
	want := []string{"INBOX", "Archive", "Deleted Items", "Drafts", "Junk Email", "Sent Items"}
	if d := cmp.Diff(want, f.names(a)); d != "" {
		t.Error(d)
	}
	v := f.view(a)
	subs, _ := v.Subscriptions()
	slices.Sort(want)
	if d := cmp.Diff(want, subs); d != "" {
		t.Error(d)
	}
	if acc := v.Account(); string(acc.Key) != "wrapped" || acc.Quota != 500 || acc.ModSeq != 1 {
		t.Errorf("%+v", acc)
	}
	v.Close()
	sent := f.byName(a, "Sent Items")
	if sent.Role != `\Sent` || sent.UIDNext != 1 || sent.UIDValidity < 1000 || sent.HighestModSeq != 1 {
		t.Errorf("%+v", sent)
	}
	if in := f.byName(a, "iNbOx"); in.ID != Inbox || in.UIDValidity != 1000 {
		t.Errorf("%+v", in)
	}
	if r := do[*command.AccountResult](f, &command.CreateAccount{Account: a, Key: []byte("other")}); r.Created {
		t.Error("an account was created twice")
	}
	if _, err := f.m.View(accountID(9)); !rookery.Is(err, rookery.KindNotFound) {
		t.Error(err)
	}
	f.refused(rookery.KindInvalid, &command.CreateAccount{Account: accountID(2), Roles: []command.Role{{Name: "a", Attr: `\All`}}})
	f.refused(rookery.KindInvalid, &command.CreateAccount{Account: accountID(2), Roles: []command.Role{{Name: "inbox", Attr: `\Sent`}}})
	f.refused(rookery.KindInvalid, &command.CreateAccount{})
}

func TestCreateMakesParentsAndKeepsRoles(t *testing.T) {
	f, a := newAccount(t, 0)
	r := do[*command.MailboxResult](f, &command.CreateMailbox{Account: a, Name: "inbox/x/y/", Role: `\Important`, Validity: 5000,
		Subscribe: true})
	if r.Name != "INBOX/x/y" || r.UIDValidity < 5000 {
		t.Errorf("%+v", r)
	}
	x, y := f.byName(a, "Inbox/x"), f.byName(a, "INBOX/x/y")
	if x.UIDValidity == y.UIDValidity || x.Role != "" || y.Role != `\Important` || y.ID != r.Mailbox {
		t.Errorf("%+v %+v", x, y)
	}
	f.refused(rookery.KindExists, &command.CreateMailbox{Account: a, Name: "INBOX"})
	f.refused(rookery.KindExists, &command.CreateMailbox{Account: a, Name: "inbox/x"})
	f.refused(rookery.KindExists, &command.CreateMailbox{Account: a, Name: "other", Role: `\Sent`})
	f.refused(rookery.KindInvalid, &command.CreateMailbox{Account: a, Name: "other", Role: `\Flagged`})
	f.refused(rookery.KindInvalid, &command.CreateMailbox{Account: a, Name: "a//b"})
	f.refused(rookery.KindNotFound, &command.CreateMailbox{Account: accountID(9), Name: "a"})
}

func TestUIDValidityAndIDsOnlyRise(t *testing.T) {
	f, a := newAccount(t, 0)
	first := do[*command.MailboxResult](f, &command.CreateMailbox{Account: a, Name: "a", Validity: 1_800_000_000})
	do[*command.Done](f, &command.DeleteMailbox{Account: a, Name: "a"})
	second := do[*command.MailboxResult](f, &command.CreateMailbox{Account: a, Name: "a", Validity: 7})
	if second.UIDValidity != first.UIDValidity+1 || second.Mailbox != first.Mailbox+1 {
		t.Errorf("%+v after %+v", second, first)
	}
	third := do[*command.MailboxResult](f, &command.CreateMailbox{Account: a, Name: "b", Validity: 0xffffffff})
	if third.UIDValidity != second.UIDValidity+1 {
		t.Errorf("a broken proposal counted: %+v", third)
	}
	renamed := do[*command.MailboxResult](f, &command.RenameMailbox{Account: a, From: "a", To: "c", Validity: 1_900_000_000})
	if renamed.Mailbox != second.Mailbox || renamed.UIDValidity != second.UIDValidity {
		t.Errorf("RENAME made %+v of %+v", renamed, second)
	}
}

func TestDeleteKeepsInferiors(t *testing.T) {
	f, a := newAccount(t, 0)
	do[*command.MailboxResult](f, &command.CreateMailbox{Account: a, Name: "a/b/c", Subscribe: true})
	do[*command.Done](f, &command.DeleteMailbox{Account: a, Name: "a"})
	do[*command.Done](f, &command.DeleteMailbox{Account: a, Name: "a/b"})
	v := f.view(a)
	removed, complete, err := v.Removed(1)
	if len(removed) != 2 || !complete || err != nil {
		t.Error(removed, complete, err)
	}
	v.Close()
	f.refused(rookery.KindDenied, &command.DeleteMailbox{Account: a, Name: "a"})
	f.refused(rookery.KindDenied, &command.DeleteMailbox{Account: a, Name: "inbox"})
	f.refused(rookery.KindNotFound, &command.DeleteMailbox{Account: a, Name: "z"})
	do[*command.Done](f, &command.DeleteMailbox{Account: a, Name: "a/b/c"})
	v = f.view(a)
	defer v.Close()
	if subs, _ := v.Subscriptions(); !slices.Contains(subs, "a/b/c") {
		t.Error("DELETE took the subscription along")
	}
}

func TestRenameMovesInferiorsAndSubscriptions(t *testing.T) {
	f, a := newAccount(t, 0)
	do[*command.MailboxResult](f, &command.CreateMailbox{Account: a, Name: "a/b", Subscribe: true})
	do[*command.Done](f, &command.Subscribe{Account: a, Name: "a/gone", On: true})
	do[*command.MailboxResult](f, &command.CreateMailbox{Account: a, Name: "ab"})
	before := f.byName(a, "a/b")
	do[*command.MailboxResult](f, &command.RenameMailbox{Account: a, From: "a", To: "x/y"})
	want := []string{"INBOX", "Archive", "Deleted Items", "Drafts", "Junk Email", "Sent Items", "ab", "x", "x/y", "x/y/b"}
	if d := cmp.Diff(want, f.names(a)); d != "" {
		t.Error(d)
	}
	after := f.byName(a, "x/y/b")
	if after.ID != before.ID || after.UIDValidity != before.UIDValidity || after.Changed <= before.Changed {
		t.Errorf("%+v became %+v", before, after)
	}
	v := f.view(a)
	subs, _ := v.Subscriptions()
	v.Close()
	if !slices.Contains(subs, "x/y/b") || !slices.Contains(subs, "x/y/gone") || slices.Contains(subs, "a/b") {
		t.Errorf("subscriptions %q", subs)
	}
	f.refused(rookery.KindInvalid, &command.RenameMailbox{Account: a, From: "x", To: "x/y/z"})
	f.refused(rookery.KindExists, &command.RenameMailbox{Account: a, From: "x", To: "ab"})
	f.refused(rookery.KindExists, &command.RenameMailbox{Account: a, From: "x", To: "inbox"})
	f.refused(rookery.KindNotFound, &command.RenameMailbox{Account: a, From: "none", To: "q"})
	f.refused(rookery.KindInvalid, &command.RenameMailbox{Account: a, From: "x", To: strings.Repeat("v", MaxLevel+1)})
	deep := strings.TrimSuffix(strings.Repeat(strings.Repeat("d", 249)+"/", 4), "/")
	f.refused(rookery.KindInvalid, &command.RenameMailbox{Account: a, From: "x", To: deep}) // the inferiors would be too long
	if d := cmp.Diff(want, f.names(a)); d != "" {
		t.Error("a refused RENAME changed names:", d)
	}
}

func TestRenameInboxMovesItsMessages(t *testing.T) {
	f, a := newAccount(t, 0)
	do[*command.MailboxResult](f, &command.CreateMailbox{Account: a, Name: "INBOX/sub"})
	for i := range 3 {
		f.deliver(a, i+1, func(c *command.Deliver) { c.Deliveries[0].Keywords = []string{"kw"} })
	}
	before := f.byName(a, "INBOX")
	r := do[*command.MailboxResult](f, &command.RenameMailbox{Account: a, From: "inbox", To: "old/mail"})
	inbox, old := f.byName(a, "INBOX"), f.byName(a, "old/mail")
	if inbox.ID != before.ID || inbox.UIDValidity != before.UIDValidity || inbox.Messages != 0 || inbox.UIDNext != 4 {
		t.Errorf("INBOX is %+v", inbox)
	}
	if old.ID != r.Mailbox || old.Messages != 3 || old.UIDValidity <= before.UIDValidity || old.ID == Inbox {
		t.Errorf("the new mailbox is %+v", old)
	}
	if rows := f.rows(a, old.ID); rows[2].UID != 3 || rows[2].Email != emailID(3) || rows[2].Keywords[0] != "kw" {
		t.Errorf("%+v", rows)
	}
	f.byName(a, "INBOX/sub")
	v := f.view(a)
	defer v.Close()
	if c, err := v.Changes(Inbox, before.HighestModSeq); c.Vanished.String() != "1:3" || !c.Complete || err != nil {
		t.Errorf("%+v %v", c, err)
	}
}

func TestLargeMailboxIsDeletedAtOnceAndReapedLater(t *testing.T) {
	f, a := newAccount(t, 0)
	box := do[*command.MailboxResult](f, &command.CreateMailbox{Account: a, Name: "big"}).Mailbox
	const n = 1500
	for i := range n {
		f.deliver(a, i+1, func(c *command.Deliver) {
			c.Deliveries[0].Mailbox, c.Deliveries[0].Keywords = box, []string{"kw"}
		})
	}
	do[*command.Done](f, &command.DeleteMailbox{Account: a, Name: "big"})
	v := f.view(a)
	if acc := v.Account(); acc.UsedBytes != 0 || acc.UsedMessages != 0 {
		t.Errorf("%+v still counts", acc)
	}
	list, _ := v.Expunged(command.ExpungedID{}, 10000)
	v.Close()
	if len(list) < command.MaxBatch || len(list) == n {
		t.Errorf("%d recoverable at once", len(list))
	}
	f.refused(rookery.KindNotFound, &command.DeleteMailbox{Account: a, Name: "big"})
	for f.purge(0) {
		f.reopen()
	}
	v = f.view(a)
	defer v.Close()
	if list, _ = v.Expunged(command.ExpungedID{}, 10000); len(list) != n || list[0].Name != "big" || list[n-1].Row.Keywords[0] != "kw" {
		t.Errorf("%d recoverable", len(list))
	}
	if got := f.tables(); got[tableRow] != 0 || got[tableGrave] != 0 {
		t.Errorf("rows left: %v", got)
	}
	r := do[*command.CopyResult](f, &command.Recover{Account: a, Messages: []command.ExpungedID{list[7].ExpungedID}, To: Inbox})
	if rows := f.rows(a, Inbox); len(rows) != 1 || rows[0].Email != list[7].Row.Email || rows[0].UID != r.Dst.First() ||
		rows[0].Keywords[0] != "kw" {
		t.Errorf("%+v", rows)
	}
}

func TestLimits(t *testing.T) {
	f, a := newAccount(t, 0)
	var many []string
	for i := range command.MaxKeywords {
		many = append(many, fmt.Sprintf("k%d", i))
	}
	f.deliver(a, 1, func(c *command.Deliver) { c.Deliveries[0].Keywords = many })
	f.refused(rookery.KindLimit, &command.StoreFlags{Account: a, Mailbox: Inbox, UIDs: uidset.Range(1, 9), Keywords: []string{"one-more"}})
	f.refused(rookery.KindInvalid, &command.StoreFlags{Account: a, Mailbox: Inbox, UIDs: uidset.Range(1, 9), Keywords: []string{`\Seen`}})
	do[*command.StoreResult](f, &command.StoreFlags{Account: a, Mailbox: Inbox, UIDs: uidset.Range(1, 9),
		Mode: command.StoreReplace, Keywords: []string{"K7"}})
	if r := f.rows(a, Inbox)[0]; !slices.Equal(r.Keywords, []string{"k7"}) {
		t.Errorf("%+v", r)
	}
	if filed := do[*command.DeliverResult](f,
		&command.Deliver{Email: emailID(2), Deliveries: []command.Delivery{{Account: a,
			Keywords: []string{"late"}}}}).Filed[0]; filed.Kind != rookery.KindLimit || filed.OK {
		t.Errorf("%+v", filed)
	}
	if got := f.tables(); got[tableBody] != 1 || got[tableEmail] != 1 {
		t.Errorf("a refused delivery left rows: %v", got)
	}
}
