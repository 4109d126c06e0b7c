package people_test

import (
	"fmt"
	"testing"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/system/people"
)

// bare is entry n without one of its attributes, moved one with another address.
func bare(n int) command.Person {
	p := person(n)
	p.Has = 1
	return p
}

func moved(n int) command.Person {
	p := person(n)
	p.Index[0] = fmt.Sprintf("a:%d@moved.example", n)
	return p
}

func all(from, to int, of func(int) command.Person) (some []command.Person) {
	for n := from; n < to; n++ {
		some = append(some, of(n))
	}
	return some
}

func keys(from, to int) (some []string) {
	for n := from; n < to; n++ {
		some = append(some, key(n))
	}
	return some
}

// masses are ways in which too much changes of 100 entries, all of the last 30.
var masses = map[string]struct {
	risk people.Risk
	do   func(f *fixture)
}{
	"a read of everything": {people.Vanishes, func(f *fixture) {
		f.copy(command.CopyPeople{Full: true, Changed: persons(0, 70), Complete: true})
	}},
	"a batch of deletions": {people.Vanishes, func(f *fixture) { f.copy(command.CopyPeople{Gone: keys(70, 100), Complete: true}) }},
	"one deletion after the other": {people.Vanishes, func(f *fixture) {
		for n := 70; n < 100; n++ {
			f.copy(command.CopyPeople{Gone: keys(n, n+1), Complete: true})
		}
	}},
	"an attribute": {people.Lost, func(f *fixture) { f.copy(command.CopyPeople{Changed: all(70, 100, bare), Complete: true}) }},
	"an attribute, one by one": {people.Lost, func(f *fixture) {
		for n := 70; n < 100; n++ {
			f.copy(command.CopyPeople{Changed: all(n, n+1, bare)})
		}
	}},
	"addresses": {people.Readdressed, func(f *fixture) { f.copy(command.CopyPeople{Changed: all(70, 100, moved), Complete: true}) }},
}

func TestAMassChangeIsHeld(t *testing.T) {
	for name, mass := range masses {
		f := filled(t, 100)
		mass.do(f)
		d := f.directory()
		if d.Held != 30 || d.Pending == 0 || d.Since == 0 || d.Present != 100 || d.Vanished != 0 {
			t.Fatalf("%s: %+v", name, d)
		}
		held, err := f.m.People().Held("d", 100)
		if err != nil || len(held) != 30 {
			t.Fatal(name, len(held), err)
		}
		for i, h := range held {
			n := 70 + i
			if h.Now.Key != key(n) || h.Risk != mass.risk || (h.Next == nil) != (mass.risk == people.Vanishes) {
				t.Errorf("%s: %+v", name, h)
			}
			if e := f.entry(n); e.Vanished != 0 || e.Has != 3 || len(f.found(fmt.Sprintf("a:%d@example.com", n))) != 1 {
				t.Errorf("%s: %+v", name, e)
			}
		}
		// Others go on.
		f.copy(command.CopyPeople{Changed: []command.Person{person(1, "a:more@example.com"), person(100)}, Complete: true})
		if len(f.found("a:more@example.com")) != 1 || f.directory().Present != 101 || f.directory().Pending != d.Pending {
			t.Errorf("%s: others wait too: %+v", name, f.directory())
		}
		f.restore()
		_, err = f.apply(&command.SettlePeople{Directory: "d", Pending: d.Pending - 1, Approve: true})
		if !rookery.Is(err, rookery.KindConflict) {
			t.Errorf("%s: approved what was not shown: %v", name, err)
		}
		f.settle(true)
		if d := f.directory(); d.Held != 0 || d.Pending != 0 || d.Since != 0 || (mass.risk == people.Vanishes) != (d.Vanished == 30) {
			t.Errorf("%s: %+v", name, d)
		}
		e, to := f.entry(80), f.found("a:80@moved.example")
		if mass.risk == people.Lost && e.Has != 1 || mass.risk == people.Readdressed && len(to) != 1 {
			t.Errorf("%s: %+v", name, e)
		}
		if _, err := f.apply(&command.SettlePeople{Directory: "d", Approve: true}); !rookery.Is(err, rookery.KindNotFound) {
			t.Errorf("%s: approved twice: %v", name, err)
		}
	}
}

// A few changes are made, in a large directory a tenth, and as many again later.
func TestFewChangesAreMade(t *testing.T) {
	for _, c := range []struct{ of, most int }{{20, people.BrakeCount}, {500, 50}} {
		f := filled(t, c.of)
		f.copy(command.CopyPeople{Gone: keys(0, c.most)})
		if d := f.directory(); d.Held != 0 || int(d.Vanished) != c.most {
			t.Fatalf("%d of %d: %+v", c.most, c.of, d)
		}
		f.copy(command.CopyPeople{Gone: keys(c.most, c.most+1)})
		if d := f.directory(); int(d.Held) != c.most+1 || d.Vanished != 0 {
			t.Errorf("%d of %d: %+v", c.most+1, c.of, d)
		}
		f = filled(t, c.of)
		f.copy(command.CopyPeople{Gone: keys(0, c.most)})
		f.time += people.BrakeWindow + 10
		f.copy(command.CopyPeople{Gone: keys(c.most, c.most+1)})
		if d := f.directory(); d.Held != 0 || int(d.Vanished) != c.most+1 {
			t.Errorf("later, %d of %d: %+v", c.most+1, c.of, d)
		}
	}
}

// Disabling applies however many it hits, and also where it comes with a loss that
// is held, or after it.
func TestDisablingIsNeverHeld(t *testing.T) {
	off := func(p command.Person) command.Person { p.Disabled = true; return p }
	f := filled(t, 100)
	f.copy(command.CopyPeople{Changed: all(0, 90, func(n int) command.Person { return off(person(n)) })})
	if d := f.directory(); d.Held != 0 || !f.entry(50).Disabled {
		t.Fatalf("%+v", d)
	}
	for name, do := range map[string]func(f *fixture){
		"with it": func(f *fixture) {
			f.copy(command.CopyPeople{Changed: all(0, 30, func(n int) command.Person { return off(bare(n)) })})
		},
		"after it": func(f *fixture) {
			f.copy(command.CopyPeople{Changed: all(0, 30, bare)})
			f.copy(command.CopyPeople{Changed: all(0, 30, func(n int) command.Person { return off(bare(n)) })})
		},
	} {
		f := filled(t, 100)
		do(f)
		for n := range 30 {
			if e := f.entry(n); !e.Disabled || e.Has != 3 {
				t.Fatalf("%s, entry %d: %+v", name, n, e)
			}
		}
		// Being enabled comes with the rest: who lost an attribute may have lost
		// the one that says it.
		f.copy(command.CopyPeople{Changed: all(0, 30, bare)})
		if !f.entry(3).Disabled || f.directory().Held != 30 {
			t.Errorf("%s: %+v", name, f.directory())
		}
	}
}

// Where the directory has again what it had, nothing waits any more.
func TestAMendedSourceReleases(t *testing.T) {
	for name, mass := range masses {
		f := filled(t, 100)
		mass.do(f)
		f.copy(command.CopyPeople{Full: true, Changed: persons(0, 99), Complete: true})
		if d := f.directory(); d.Held == 0 || d.Held == 30 || d.Pending == 0 {
			t.Errorf("%s: %+v", name, d)
		}
		f.copy(command.CopyPeople{Changed: persons(99, 100), Complete: true})
		if d := f.directory(); d.Held != 0 || d.Pending != 0 || d.Present != 100 || d.Over {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// A rejected change is forgotten; the next read of everything finds it again.
func TestRejectedChangesAreReadAnew(t *testing.T) {
	f := filled(t, 100)
	f.copy(command.CopyPeople{Gone: keys(0, 30), Complete: true, Cookie: []byte("x")})
	before := f.directory()
	f.settle(false)
	if d := f.directory(); d.Held != 0 || d.Cookie != nil || d.Batches == before.Batches || d.Present != 100 {
		t.Errorf("%+v", d)
	}
	f.copy(command.CopyPeople{Full: true, Changed: persons(30, 100), Complete: true})
	if d := f.directory(); d.Held != 30 || d.Present != 100 {
		t.Errorf("%+v", d)
	}
}

// So many changes are approved by several commands.
func TestManyChangesAreApproved(t *testing.T) {
	f := filled(t, 5000)
	f.copy(command.CopyPeople{Full: true, Changed: persons(0, 10), Complete: true})
	if d := f.directory(); d.Held != 4990 {
		t.Fatalf("%+v", d)
	}
	f.settle(true)
	if d := f.directory(); d.Held != 0 || d.Vanished != 4990 || d.Present != 10 {
		t.Errorf("%+v", d)
	}
}

// What an account costs besides its value stays below 1 KiB: an image has all rows,
// unpacked.
func TestAnEntryIsSmall(t *testing.T) {
	f := open(t)
	size := func() int64 {
		s, err := f.g.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		return s.Size()
	}
	before, value := size(), 0
	const n = 2000
	for at := 0; at < n; at += 500 {
		f.copy(command.CopyPeople{Full: at == 0, Changed: all(at, at+500, func(i int) command.Person {
			p := command.Person{Key: fmt.Sprintf("d/%032x", i), Value: make([]byte, 300)}
			value += len(p.Value)
			for _, s := range []string{"a:firstname.lastname%d@example.com", "a:f.lastname%d@example.com", "a:fl%d@subsidiary.example.com",
				"l:firstname.lastname%d@example.com", "l:fl%d", "d:cn=firstname lastname %d,ou=department,ou=people,dc=example,dc=com"} {
				p.Index = append(p.Index, fmt.Sprintf(s, i))
			}
			return p
		})})
	}
	if each := (size() - before - int64(value)) / n; each >= 1024 {
		t.Errorf("an entry costs %d bytes besides its value", each)
	} else {
		t.Logf("%d bytes", each)
	}
}
