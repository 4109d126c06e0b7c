package tables

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
)

func whole(id byte) Table {
	return Table{ID: id, Name: "x",
		Owner: OfAccount, Travels: Copied, Archived: InArchive, Restored: WithAccount, Erased: AtOnce, Key: Exactly(2), Check: Length(1)}
}

// Each column that is left out is missed.
func TestATableWithoutAColumnIsMissed(t *testing.T) {
	for name, spoil := range map[string]func(*Table){
		"":            func(*Table) {},
		"no name":     func(x *Table) { x.Name = "" },
		"nobody owns": func(x *Table) { x.Owner = 0 },
		"travel":      func(x *Table) { x.Travels = 0 },
		"archived":    func(x *Table) { x.Archived = 0 },
		"restored":    func(x *Table) { x.Restored = 0 },
		"erased":      func(x *Table) { x.Erased = 0 },
		"size":        func(x *Table) { x.Key = Size{} },
		"check":       func(x *Table) { x.Check = nil },
		"only what":   func(x *Table) { x.Owner = OfGroup },
		"follows":     func(x *Table) { x.From = 0x20 },
	} {
		x := whole(0x10)
		if x.Key = Exactly(2); name == "size" {
			x.Key = Size{Min: 1}
		} else {
			spoil(&x)
		}
		missing := Join("a test", Part[*run]{Tables: []Table{x}}).Incomplete()
		if name == "" && len(missing) > 0 || name != "" && (len(missing) == 0 || !strings.Contains(strings.Join(missing, "\n"), name)) {
			t.Errorf("%q: %v", name, missing)
		}
	}
}

func TestATableHasOnePart(t *testing.T) {
	for _, id := range []byte{0x01, 0x10} { // of the store's own, and twice
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("table %#x was taken", id)
				}
			}()
			Join("a test", Part[*run]{Tables: []Table{whole(0x10), whole(id)}})
		}()
	}
}

func TestRowsBelongToATable(t *testing.T) {
	p := Join("a test", Part[*run]{Tables: []Table{whole(0x10)}})
	id := rookery.AccountID{7}
	k := AccountKey(0x10, id).Str("ab")
	for _, c := range []struct {
		k    Key
		v    string
		fits bool
	}{
		{k, "v", true}, {k, "vv", false},
		{k[:18], "v", false}, {append(k[:19:19], 'c'), "v", false}, {AccountKey(0x11, id).Str("ab"), "v", false}, {nil, "v", false},
	} {
		if err := p.CheckRow(c.k, []byte(c.v)); (err == nil) != c.fits {
			t.Errorf("%x %s: %v", c.k, c.v, err)
		}
	}
	travels := WithoutAccountKey(k)
	if d := cmp.Diff([]byte(k), []byte(WithAccountKey(id, travels))); d != "" || string(travels) != "\x10ab" {
		t.Errorf("%q %s", travels, d)
	}
	for _, c := range []struct {
		k, v string
		gone bool
		fits bool
	}{
		{"\x10ab", "v", false, true}, {"\x10ab", "", true, true}, {"\x10ab", "v", true, false},
		{"\x10a", "", true, false}, {"\x11ab", "v", false, false}, {"", "", true, false},
	} {
		if err := p.CheckArrival([]byte(c.k), []byte(c.v), c.gone); (err == nil) != c.fits {
			t.Errorf("%q %q: %v", c.k, c.v, err)
		}
	}
}
