package system

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
)

func TestTenantKeysOnlyGoOn(t *testing.T) {
	f := open(t)
	one, two := [16]byte{1}, [16]byte{2}
	f.refused(rookery.KindConflict, "", &command.SetTenantKey{Version: 1, Destroyed: true}) // nothing follows it yet
	f.refused(rookery.KindInvalid, "", &command.SetTenantKey{Version: 2})
	f.must(&command.SetTenantKey{Version: 2, Fingerprint: one})
	f.must(&command.SetTenantKey{Version: 2, Fingerprint: one})
	f.refused(rookery.KindConflict, "", &command.SetTenantKey{Version: 2, Fingerprint: two})
	f.refused(rookery.KindConflict, "", &command.SetTenantKey{Version: 1, Fingerprint: two})
	f.refused(rookery.KindConflict, "", &command.SetTenantKey{Version: 2, Destroyed: true})
	f.must(&command.SetTenantKey{Version: 4, Fingerprint: two})
	for range 2 {
		f.must(&command.SetTenantKey{Version: 1, Destroyed: true})
		f.must(&command.SetTenantKey{Version: 3, Destroyed: true}) // was never used
	}
	f.refused(rookery.KindConflict, "", &command.SetTenantKey{Version: 3, Fingerprint: one})
	keys, err := f.m.TenantKeys()
	if err != nil || len(keys) != 4 || InUse(keys).Version != 4 || keys[0].Destroyed == 0 || keys[1].Destroyed != 0 || keys[2].Destroyed == 0 {
		t.Errorf("%+v %v", keys, err)
	}
}

func TestErasureOnTheMap(t *testing.T) {
	f := open(t)
	a, b, c := rookery.AccountID{1}, rookery.AccountID{2}, rookery.AccountID{3}
	for id, key := range map[rookery.AccountID]string{a: "d/a", b: "d/b", c: "d/c"} {
		f.must(&command.EnsureAccount{DirectoryKey: key, Account: id, Group: 2})
	}
	f.refused(rookery.KindNotFound, "", &command.EraseAccounts{Accounts: []rookery.AccountID{a, {9}}})
	if all, err := f.m.Erasures(); err != nil || len(all) != 0 {
		t.Errorf("%+v %v: one of several was begun", all, err)
	}
	f.must(&command.EraseAccounts{Accounts: []rookery.AccountID{a, b}})
	f.must(&command.AccountsErased{Accounts: []rookery.AccountID{a, {9}}})
	f.must(&command.SetTenantKey{Version: 2, Fingerprint: [16]byte{1}})
	f.must(&command.EraseAccounts{Accounts: []rookery.AccountID{a, c}}) // a goes on
	f.must(&command.AccountsErased{Accounts: []rookery.AccountID{a, b}})
	f.refused(rookery.KindUnavailable, "", &command.EnsureAccount{DirectoryKey: "d/a", Account: rookery.AccountID{8}, Group: 2})
	for _, key := range []string{"d/a", "d/b", "d/c"} {
		if p, err := f.m.ByKey(key); !rookery.Is(err, rookery.KindUnavailable) || p.Group != 2 {
			t.Errorf("%s: %+v %v", key, p, err)
		}
	}
	if p, err := f.m.Account(a); !rookery.Is(err, rookery.KindUnavailable) || p.Group != 2 {
		t.Errorf("%+v %v", p, err)
	}
	all, err := f.m.Erasures()
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i].Since = 0
	}
	if d := cmp.Diff([]Erasure{{Account: a, Barred: true}, {Account: b, Barred: true, Under: 2}, {Account: c}}, all); d != "" {
		t.Error(d)
	}
	f.must(&command.ForgetAccount{Account: a})
	f.must(&command.EnsureAccount{DirectoryKey: "d/a", Account: rookery.AccountID{8}, Group: 2})
	if p, err := f.m.ByKey("d/a"); err != nil || p.Account != (rookery.AccountID{8}) {
		t.Errorf("%+v %v", p, err)
	}
	if all, err := f.m.Erasures(); err != nil || len(all) != 2 {
		t.Errorf("%+v %v", all, err)
	}
}
