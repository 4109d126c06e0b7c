package mailbox

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/body"
	"rookery/storage/command"
)

// hears notes which accounts' keys changed.
type hears struct {
	*fixture
	changed []rookery.AccountID
}

func (h *hears) KeyChanged(id rookery.AccountID) { h.changed = append(h.changed, id) }

func under(version byte, salt byte) []byte { return []byte{1, version, salt} }

func TestKeyFloorKeepsOldWrapsOut(t *testing.T) {
	f, a := newAccount(t, 0)
	do[*command.RewrapResult](f, &command.RewrapAccounts{Accounts: []command.Rewrapped{{Account: a, Old: f.keys(a).Key, New: under(2, 1)}}})
	do[*command.Done](f, &command.KeyFloor{Version: 2})
	f.restore() // the floor is state
	b := accountID(2)
	f.refused(rookery.KindConflict, &command.CreateAccount{Account: b, Key: under(1, 1)})
	f.refused(rookery.KindConflict, &command.RotateAccountKey{Account: a, Old: under(2, 1), New: under(1, 1)})
	f.refused(rookery.KindInvalid, &command.RewrapAccounts{Accounts: []command.Rewrapped{{Account: a, Old: under(2, 1), New: under(1, 1)}}})
	do[*command.AccountResult](f, &command.CreateAccount{Account: b, Key: under(2, 7)})
	// A change that came between is not lost.
	if r := do[*command.RewrapResult](f, &command.RewrapAccounts{Accounts: []command.Rewrapped{{Account: b, Old: under(2, 8), New: under(3, 1)}, {Account: a, Old: under(2, 1), New: under(3, 2)}}}); r.Done != 1 {
		t.Errorf("%d rewrapped, one had another wrap", r.Done)
	}
	c, err := f.m.KeyCensus()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(KeyCensus{Under: map[uint32]int{2: 1, 3: 1}}, c); d != "" {
		t.Error(d)
	}
}

func (f *fixture) keys(a rookery.AccountID) body.AccountKeys {
	f.t.Helper()
	v := f.view(a)
	defer v.Close()
	return v.Account().AccountKeys
}

func TestBarredAccountsNeverComeBack(t *testing.T) {
	f, a := newAccount(t, 0)
	h := &hears{fixture: f}
	f.m.events = h
	f.deliver(a, 1)
	never := accountID(9)
	for _, id := range []rookery.AccountID{a, a, never} {
		do[*command.Done](f, &command.BarAccount{Account: id})
	}
	if d := cmp.Diff([]rookery.AccountID{a, a, never}, h.changed); d != "" {
		t.Error(d)
	}
	for range 3 {
		do[*command.PurgeResult](f, &command.PurgeExpunged{})
	}
	if some, err := f.m.Graves(); some || err != nil {
		t.Errorf("graves %v %v", some, err)
	}
	f.restore()
	for _, id := range []rookery.AccountID{a, never} {
		f.refused(rookery.KindConflict, &command.CreateAccount{Account: id, Key: under(5, 1)})
	}
	if d := cmp.Diff(map[byte]int{tableBarred: 2}, f.tables()); d != "" {
		t.Error(d)
	}
}

// A rotation ends only when every message is rewrapped, and lets in none that
// the old key wraps.
func TestAccountKeyRotation(t *testing.T) {
	f, a := newAccount(t, 0)
	h := &hears{fixture: f}
	f.m.events = h
	first := f.keys(a).Key
	for n := range 5 {
		f.deliver(a, n+1)
	}
	do[*command.Done](f, &command.RotateAccountKey{Account: a, Old: first, New: under(1, 2)})
	f.refused(rookery.KindConflict, &command.RotateAccountKey{Account: a, Old: under(1, 2), New: under(1, 3)})
	stale := &command.Deliver{Email: emailID(8), Size: 1, Payload: []byte("x"), Deliveries: []command.Delivery{{Account: a, WrappedKey: []byte("k")}}}
	f.refused(rookery.KindConflict, stale)
	fresh := []byte{2, 1, 9}
	f.deliver(a, 8, func(c *command.Deliver) { c.Deliveries[0].WrappedKey = fresh })
	f.refused(rookery.KindConflict, &command.DropAccountKey{Account: a, Generation: 1})
	keys, err := f.m.MessageKeys(a, rookery.EmailID{}, 3)
	if err != nil || len(keys) != 3 {
		t.Fatal(keys, err)
	}
	for i := range keys {
		keys[i].Key = []byte{2, 1, byte(i)}
	}
	last := keys[2].Email
	f.refused(rookery.KindConflict, &command.RewrapMessages{Account: a, Last: command.LastEmail, Keys: keys})
	do[*command.RewrapResult](f, &command.RewrapMessages{Account: a, Last: last, Keys: keys})
	f.refused(rookery.KindConflict, &command.RewrapMessages{Account: a, Last: last, Keys: keys}) // stands elsewhere
	f.reopen()
	f.m.events = h
	rest, err := f.m.MessageKeys(a, last, 10)
	if err != nil || len(rest) != 3 {
		t.Fatal(rest, err)
	}
	var next []command.EmailKey
	for _, k := range rest {
		if body.MessageKeyGeneration(k.Key) == 0 {
			next = append(next, command.EmailKey{Email: k.Email, Key: []byte{2, 1, 7}})
		}
	}
	if r := do[*command.RewrapResult](f, &command.RewrapMessages{Account: a, After: last, Last: command.LastEmail, Keys: next}); r.Done != 2 {
		t.Errorf("%d rewrapped", r.Done)
	}
	for range 2 {
		do[*command.Done](f, &command.DropAccountKey{Account: a, Generation: 1})
	}
	if d := cmp.Diff(body.AccountKeys{Generation: 1, Key: under(1, 2)}, f.keys(a)); d != "" {
		t.Error(d)
	}
	f.refused(rookery.KindConflict, stale)
	if len(h.changed) != 2 {
		t.Errorf("heard of %d changes", len(h.changed))
	}
}
