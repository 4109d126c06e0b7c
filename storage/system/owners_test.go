package system

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rookery"
	"rookery/storage/command"
)

func TestNoAccountForAnAddressThatAnotherHad(t *testing.T) {
	f := open(t)
	a, b := rookery.AccountID{1}, rookery.AccountID{2}
	mint := func(key string, id rookery.AccountID, addresses ...string) *command.EnsureResult {
		t.Helper()
		return must2(f.apply(&command.EnsureAccount{DirectoryKey: key, Account: id, Group: 2, Login: key,
			Addresses: addresses})).(*command.EnsureResult)
	}
	mint("d/1", a, "anna@x", "chief@x")
	if r := mint("d/2", b, "bert@x", "chief@x"); r.Holder != a || r.Created || r.Account == b {
		t.Fatalf("answered %+v", r)
	}
	if _, err := f.m.ByKey("d/2"); !rookery.Is(err, rookery.KindNotFound) {
		t.Fatalf("it has an account: %v", err)
	}
	if r := mint("d/2", b, "hief@x"); !r.Created { // no address ends or begins like another
		t.Fatalf("answered %+v", r)
	}
	must2(f.apply(&command.NoteOwner{Account: a, DirectoryKey: "d/1", Login: "anna", Addresses: []string{"anna@x"}}))
	if r := mint("d/3", rookery.AccountID{3}, "chief@x"); !r.Created {
		t.Fatalf("an address that was given up: %+v", r)
	}
	if o, err := f.m.Owner(a); err != nil || !o.Equal(rookery.Owner{Key: "d/1", Login: "anna", Addresses: []string{"anna@x"}}) {
		t.Fatalf("%+v, %v", o, err)
	}
	if _, err := f.apply(&command.NoteOwner{Account: a, DirectoryKey: "d/9"}); !rookery.Is(err, rookery.KindConflict) {
		t.Fatalf("an entry that does not have the account: %v", err)
	}
}

func TestOwnersAreBounded(t *testing.T) {
	f := open(t)
	var many []string
	for i := range rookery.MaxOwnerAddresses + 1 {
		many = append(many, fmt.Sprint(i, "@x"))
	}
	for _, c := range []*command.EnsureAccount{
		{Addresses: many}, {Addresses: []string{""}}, {Addresses: []string{"a\x00b"}}, {Addresses: []string{"a", "a"}},
		{Addresses: []string{strings.Repeat("a", rookery.MaxOwnerName+1)}}, {Login: strings.Repeat("a", rookery.MaxOwnerName+1)},
	} {
		c.DirectoryKey, c.Account, c.Group = "d/1", rookery.AccountID{1}, 2
		if _, err := f.apply(c); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("%.60v: %v", c, err)
		}
	}
	if r := must2(f.apply(&command.EnsureAccount{DirectoryKey: "d/1", Account: rookery.AccountID{1}, Group: 2,
		Addresses: many[1:]})); !r.(*command.EnsureResult).Created {
		t.Error("the most addresses are refused")
	}
}

// owned is an account of the naive model.
type owned struct {
	key       string
	addresses []string
}

type ownersModel map[rookery.AccountID]*owned

func (m ownersModel) of(key string) (rookery.AccountID, bool) {
	for id, o := range m {
		if o.key == key {
			return id, true
		}
	}
	return rookery.AccountID{}, false
}

func (m ownersModel) holders(addresses []string) (all []rookery.AccountID) {
	for id, o := range m {
		if slices.ContainsFunc(o.addresses, func(a string) bool { return slices.Contains(addresses, a) }) {
			all = append(all, id)
		}
	}
	return all
}

// step makes a random command, and the change of the model if it is to succeed.
func (m ownersModel) step(rnd *rand.Rand, fresh rookery.AccountID) (command.Command, func()) {
	key := fmt.Sprint("d/", rnd.IntN(6))
	var addresses []string
	for i := range 5 {
		if rnd.IntN(3) == 0 {
			addresses = append(addresses, fmt.Sprint("a", i, "@x"))
		}
	}
	var some, other rookery.AccountID
	if ids := slices.SortedFunc(maps.Keys(m), func(a, b rookery.AccountID) int { return slices.Compare(a[:], b[:]) }); len(ids) > 0 {
		some, other = ids[rnd.IntN(len(ids))], ids[rnd.IntN(len(ids))]
	}
	own, has := m.of(key)
	switch x := rnd.IntN(10); {
	case x < 4:
		return &command.EnsureAccount{DirectoryKey: key, Account: fresh, Group: 2, Addresses: addresses}, func() {
			if !has && len(m.holders(addresses)) == 0 {
				m[fresh] = &owned{key, addresses}
			}
		}
	case x < 6:
		if o := m[some]; o == nil || o.key != key {
			return &command.NoteOwner{Account: some, DirectoryKey: key, Addresses: addresses}, nil
		}
		return &command.NoteOwner{Account: some, DirectoryKey: key, Addresses: addresses}, func() { m[some].addresses = addresses }
	case x < 9:
		c := &command.LinkAccount{Account: some, DirectoryKey: key, Addresses: addresses, Other: other}
		if rnd.IntN(2) == 0 {
			c.Other = own
		}
		if m[some] == nil || has && own != some && own != c.Other {
			return c, nil
		}
		return c, func() {
			if has && own != some {
				m[own] = &owned{m[some].key, nil}
			}
			m[some] = &owned{key, addresses}
		}
	}
	return &command.ForgetAccount{Account: some}, func() { delete(m, some) }
}

// Random commands change the map and the index as they change a naive model.
func TestOwnersAreAsInTheModel(t *testing.T) {
	for seed := range uint64(30) {
		f, m := open(t), ownersModel{}
		rnd := rand.New(rand.NewPCG(seed, 1))
		for i := range 80 {
			c, change := m.step(rnd, rookery.AccountID{byte(i), 1})
			_, err := f.apply(c)
			if (err == nil) != (change != nil) {
				t.Fatalf("seed %d, step %d: %+v answered %v", seed, i, c, err)
			}
			if change != nil {
				change()
			}
			f.compare(t, m)
			if t.Failed() {
				t.Fatalf("seed %d, step %d: after %#v", seed, i, c)
			}
		}
	}
}

func (f *fixture) compare(t *testing.T, m ownersModel) {
	t.Helper()
	places, err := f.m.Accounts(rookery.AccountID{}, 1000)
	if err != nil || len(places) != len(m) {
		t.Errorf("%d accounts, want %d: %v", len(places), len(m), err)
	}
	for id, want := range m {
		if o, err := f.m.Owner(id); err != nil || !o.Equal(rookery.Owner{Key: want.key, Addresses: want.addresses}) {
			t.Errorf("account %v has owner %+v, want %+v: %v", id, o, want, err)
		}
	}
	for i := range 6 {
		key := fmt.Sprint("d/", i)
		id, has := m.of(key)
		if p, err := f.m.ByKey(key); (err == nil) != has || has && p.Account != id {
			t.Errorf("entry %s has account %v, want %v: %v", key, p.Account, id, err)
		}
		address := []string{fmt.Sprint("a", i, "@x")}
		got, want := must3(f.m.Holders(address)), m.holders(address)
		slices.SortFunc(want, func(a, b rookery.AccountID) int { return slices.Compare(a[:], b[:]) })
		if !slices.Equal(got, want) {
			t.Errorf("%s is of %v, want %v", address, got, want)
		}
	}
}

func must3(ids []rookery.AccountID, err error) []rookery.AccountID {
	must(err)
	return ids
}
