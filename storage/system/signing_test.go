package system

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
)

type signingEvents struct {
	Events
	heard int
}

func (e *signingEvents) Settings(uint64) {}
func (e *signingEvents) Nodes()          {}
func (e *signingEvents) SigningKeys()    { e.heard++ }

// The keys of a domain change as a whole, from the version that was read.
func TestSigningKeysAreComparedAndSet(t *testing.T) {
	f := open(t)
	events := &signingEvents{}
	f.m.events = events
	key := func(selector string) command.SigningKey {
		return command.SigningKey{Selector: selector, Kind: 1, Since: 5, Record: "v=DKIM1; p=x", Sealed: "sealed:1:x"}
	}
	a, b := []command.SigningKey{key("a")}, []command.SigningKey{key("a"), key("b")}
	f.must(&command.SetSigningKeys{Domain: "b.example", Keys: a}, &command.SetSigningKeys{Domain: "a.example", Keys: a},
		&command.SetSigningKeys{Domain: "a.example", Version: 1, Keys: b})
	f.refused(rookery.KindConflict, "have version 2, not 1", &command.SetSigningKeys{Domain: "a.example", Version: 1})
	f.refused(rookery.KindConflict, "have version 2, not 0", &command.SetSigningKeys{Domain: "a.example"})
	want := []SigningKeys{{"a.example", 2, b}, {"b.example", 1, a}}
	got, err := f.m.SigningKeys()
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if events.heard != 3 {
		t.Errorf("%d changes were told of", events.heard)
	}
}

func TestSigningKeysAreBounded(t *testing.T) {
	f := open(t)
	good := command.SigningKey{Selector: "a", Record: "r", Sealed: "k"}
	many := make([]command.SigningKey, command.MaxSigningKeys+1)
	for i := range many {
		many[i] = good
		many[i].Selector = fmt.Sprint("s", i)
	}
	f.refused(rookery.KindInvalid, "a domain of", &command.SetSigningKeys{})
	f.refused(rookery.KindInvalid, "a domain of", &command.SetSigningKeys{Domain: strings.Repeat("a", 256)})
	f.refused(rookery.KindLimit, "at most", &command.SetSigningKeys{Domain: "x", Keys: many})
	f.must(&command.SetSigningKeys{Domain: "x", Keys: many[1:]})
	f.refused(rookery.KindInvalid, "given twice", &command.SetSigningKeys{Domain: "y", Keys: []command.SigningKey{good, good}})
	for _, change := range []func(*command.SigningKey){
		func(k *command.SigningKey) { k.Selector = "" },
		func(k *command.SigningKey) { k.Selector = strings.Repeat("a", command.MaxSelector+1) },
		func(k *command.SigningKey) { k.Record = "" },
		func(k *command.SigningKey) { k.Record = strings.Repeat("a", command.MaxSigningRecord+1) },
		func(k *command.SigningKey) { k.Sealed = "" },
		func(k *command.SigningKey) { k.Sealed = strings.Repeat("a", command.MaxSealedKey+1) },
	} {
		bad := good
		change(&bad)
		f.refused(rookery.KindInvalid, "", &command.SetSigningKeys{Domain: "y", Keys: []command.SigningKey{bad}})
	}
}
