package system

import (
	"crypto/sha256"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
)

func add(id rookery.DictionaryID, sealed string) *command.AddDictionary {
	return &command.AddDictionary{ID: id, Sealed: []byte(sealed), Key: 1, Messages: 900, Accounts: 12, Before: 400, After: 320}
}

func (f *fixture) adopted(want rookery.DictionaryID) {
	f.t.Helper()
	if got, _, err := f.m.AdoptedDictionary(); got != want || err != nil {
		f.t.Fatalf("dictionary %d is in use, %v; want %d", got, err, want)
	}
}

func TestDictionaryIsAdoptedOnceAllHaveIt(t *testing.T) {
	f := open(t)
	f.nodes("a", "b", "c")
	f.adopted(0)
	f.refused(rookery.KindConflict, "up to 15", add(15, "x"))
	f.must(add(16, "sixteen"))
	f.refused(rookery.KindConflict, "up to 16", add(16, "another"))
	f.adopted(0)
	f.refused(rookery.KindConflict, "node c", &command.AdoptDictionary{ID: 16, Nodes: ids("a", "b")})
	f.refused(rookery.KindNotFound, "no dictionary 17", &command.AdoptDictionary{ID: 17, Nodes: ids("a", "b", "c")})
	f.adopted(0)
	f.must(&command.RegisterNode{Node: "c", Remove: true}, &command.AdoptDictionary{ID: 16, Nodes: ids("a", "b", "d")})
	f.adopted(16)
	f.must(&command.AdoptDictionary{ID: 16}) // it is done
	got, err := f.m.Dictionaries()
	want := []Dictionary{{ID: 16, Key: 1, Size: 7, Messages: 900, Accounts: 12, Before: 400, After: 320, Trained: 5, Adopted: 10}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Fatal(d, err)
	}
	if s, err := f.m.SealedDictionary(16); string(s) != "sixteen" || err != nil {
		t.Fatalf("%q %v", s, err)
	}
	if _, err := f.m.SealedDictionary(17); !rookery.Is(err, rookery.KindNotFound) {
		t.Fatal(err)
	}
}

// An adopted dictionary stays for ever, one that was never adopted goes with the next, and no id is used twice.
func TestAdoptedDictionariesStay(t *testing.T) {
	f := open(t)
	f.nodes("a")
	f.must(add(16, "one"), add(17, "two"), &command.AdoptDictionary{ID: 17, Nodes: ids("a")}, add(18, "three"), add(19, "four"))
	f.refused(rookery.KindNotFound, "no dictionary 18", &command.AdoptDictionary{ID: 18, Nodes: ids("a")})
	f.adopted(17)
	f.must(&command.AdoptDictionary{ID: 19, Nodes: ids("a")})
	f.refused(rookery.KindConflict, "newer", &command.AdoptDictionary{ID: 17, Nodes: ids("a")})
	for id, want := range map[rookery.DictionaryID]string{17: "two", 19: "four"} {
		if s, err := f.m.SealedDictionary(id); string(s) != want || err != nil {
			t.Errorf("dictionary %d is %q, %v", id, s, err)
		}
	}
	for id := rookery.DictionaryID(20); id < 20+MaxDictionaries-2; id++ {
		f.must(add(id, "more"), &command.AdoptDictionary{ID: id, Nodes: ids("a")})
	}
	f.refused(rookery.KindLimit, "64 dictionaries", add(20+MaxDictionaries-2, "too many"))
	if all, err := f.m.Dictionaries(); len(all) != MaxDictionaries || all[0].ID != 17 || err != nil {
		t.Errorf("%d dictionaries, %v", len(all), err)
	}
}

func TestResealDictionary(t *testing.T) {
	f := open(t)
	f.nodes("a")
	f.must(add(16, "old"), &command.AdoptDictionary{ID: 16, Nodes: ids("a")})
	reseal := &command.ResealDictionary{ID: 16, Old: sha256.Sum256([]byte("old")), Sealed: []byte("newer"), Key: 2}
	f.must(reseal, reseal)
	f.refused(rookery.KindConflict, "anew", &command.ResealDictionary{ID: 16, Old: sha256.Sum256([]byte("old")), Sealed: []byte("late"), Key: 3})
	f.refused(rookery.KindNotFound, "no dictionary", &command.ResealDictionary{ID: 15, Sealed: []byte("x"), Key: 3})
	all, err := f.m.Dictionaries()
	if err != nil || len(all) != 1 || all[0].Key != 2 || all[0].Size != 5 || all[0].Adopted == 0 {
		t.Errorf("%+v %v", all, err)
	}
	for _, c := range []command.Command{
		&command.AddDictionary{ID: 17, Key: 1}, &command.AddDictionary{ID: 17, Sealed: []byte("x")},
		&command.AddDictionary{ID: 17, Key: 1, Sealed: make([]byte, command.MaxSealedDictionary+1)}, &command.ResealDictionary{ID: 16, Old: sha256.Sum256([]byte("newer")), Key: 2},
	} {
		f.refused(rookery.KindInvalid, "a sealed dictionary has", c)
	}
}

// A tenant key version is given up only when no dictionary needs it, and none comes under it later.
func TestDictionaryHoldsItsTenantKey(t *testing.T) {
	f := open(t)
	f.nodes("a")
	f.must(add(16, "old"), &command.SetTenantKey{Version: 2, Fingerprint: [16]byte{2}})
	give := &command.SetTenantKey{Version: 1, Destroyed: true}
	f.refused(rookery.KindConflict, "dictionary 16 is sealed under", give)
	f.must(&command.ResealDictionary{ID: 16, Old: sha256.Sum256([]byte("old")), Sealed: []byte("new"), Key: 2}, give)
	f.refused(rookery.KindConflict, "version 1 is destroyed", add(17, "late"))
	f.refused(rookery.KindConflict, "version 1 is destroyed", &command.ResealDictionary{ID: 16, Old: sha256.Sum256([]byte("new")), Sealed: []byte("back"), Key: 1})
}
