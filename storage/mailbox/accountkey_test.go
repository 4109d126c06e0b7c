package mailbox

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
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
	do[*command.RewrapResult](f, &command.RewrapAccounts{Accounts: []command.Rewrapped{{Account: a, Old: f.key(a), New: under(2, 1)}}})
	do[*command.Done](f, &command.KeyFloor{Version: 2})
	f.restore() // the floor is state
	b := accountID(2)
	f.refused(rookery.KindConflict, &command.CreateAccount{Account: b, Key: under(1, 1)})
	f.refused(rookery.KindInvalid, &command.RewrapAccounts{Accounts: []command.Rewrapped{{Account: a, Old: under(2, 1), New: under(1, 1)}}})
	do[*command.AccountResult](f, &command.CreateAccount{Account: b, Key: under(2, 7)})
	// A change that came between is not lost.
	if r := do[*command.RewrapResult](f, &command.RewrapAccounts{Accounts: []command.Rewrapped{{Account: b, Old: under(2, 8),
		New: under(3, 1)}, {Account: a, Old: under(2, 1), New: under(3, 2)}}}); r.Done != 1 {
		t.Errorf("%d rewrapped, one had another wrap", r.Done)
	}
	c, err := f.m.KeyCensus()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(KeyCensus{Under: map[uint32]int{2: 1, 3: 1}, Days: map[uint32]int{}}, c); d != "" {
		t.Error(d)
	}
}

func (f *fixture) key(a rookery.AccountID) []byte {
	f.t.Helper()
	v := f.view(a)
	defer v.Close()
	return v.Account().Key
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
	if f.purge(1) {
		t.Error("something is left of a barred account")
	}
	f.restore()
	for _, id := range []rookery.AccountID{a, never} {
		f.refused(rookery.KindConflict, &command.CreateAccount{Account: id, Key: under(5, 1)})
	}
	if d := cmp.Diff(map[byte]int{tableBarred: 2}, f.tables()); d != "" {
		t.Error(d)
	}
}
