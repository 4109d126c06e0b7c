package people_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/system"
	"rookery/storage/system/people"
)

// fixture is the system group's machine as it is, with the copy in it.
type fixture struct {
	t    testing.TB
	g    *state.Group
	m    *system.Machine
	n    uint64
	time int64
	told []people.Touched
}

func (f *fixture) Settings(uint64)         {}
func (f *fixture) Nodes()                  {}
func (f *fixture) People(t people.Touched) { f.told = append(f.told, t) }

func open(t testing.TB) *fixture {
	s, err := state.Open("state", vfs.NewMem(),
		state.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), MemTableBytes: 4 << 20, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	f := &fixture{t: t, time: 1}
	if f.g, err = s.Group(rookery.SystemGroup, func(g *state.Group) state.Machine { f.m = system.New(f)(g); return f.m }); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) apply(c command.Command) (command.Result, error) {
	f.t.Helper()
	f.n++
	f.time++
	entry := state.Wrap(state.Header{Node: "n", Epoch: 1, Seq: f.n, Time: f.time}, command.Encode(c))
	out := f.g.Apply([]rookery.Entry{{Index: rookery.LogIndex(f.n), Term: 1, Data: entry}})[0]
	if err := state.ResultError("apply", out); err != nil {
		return nil, err
	}
	r, err := command.DecodeResult(command.TypeOf(c), state.DecodeResult(out).Value)
	if err != nil {
		f.t.Fatal(err)
	}
	return r, nil
}

// restore puts an image of the state in its place.
func (f *fixture) restore() {
	f.t.Helper()
	s, err := f.g.Snapshot()
	if err != nil {
		f.t.Fatal(err)
	}
	defer s.Close()
	var b bytes.Buffer
	if _, err := s.WriteTo(&b); err != nil {
		f.t.Fatal(err)
	}
	if err := f.g.Restore(&b); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) copy(c command.CopyPeople) {
	f.t.Helper()
	c.Directory, c.After = "d", f.directory().Batches
	if _, err := f.apply(&c); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) settle(approve bool) {
	f.t.Helper()
	for {
		r, err := f.apply(&command.SettlePeople{Directory: "d", Pending: f.directory().Pending, Approve: approve})
		if err != nil {
			f.t.Fatal(err)
		}
		if !r.(*command.PurgeResult).More {
			return
		}
	}
}

func (f *fixture) directory() people.Directory {
	f.t.Helper()
	d, _, err := f.m.People().Directory("d")
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

func (f *fixture) entry(n int) people.Entry {
	f.t.Helper()
	e, found, err := f.m.People().Entry(key(n))
	if err != nil || !found {
		f.t.Fatalf("entry %d: %v %v", n, found, err)
	}
	return e
}

// found are the numbers of the present entries with an index string.
func (f *fixture) found(index string) (keys []string) {
	f.t.Helper()
	all, err := f.m.People().Found("d", index, 1000)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, e := range all {
		if e.Vanished == 0 {
			keys = append(keys, e.Key)
		}
	}
	return keys
}

func key(n int) string { return fmt.Sprintf("d/%04d", n) }

// person is entry n with an address of its own and its attributes.
func person(n int, more ...string) command.Person {
	return command.Person{Key: key(n), Value: []byte(fmt.Sprint("v", n)), Has: 3,
		Index: append([]string{fmt.Sprintf("a:%d@example.com", n), fmt.Sprintf("l:%d", n)}, more...)}
}

func persons(from, to int) (all []command.Person) {
	for n := from; n < to; n++ {
		all = append(all, person(n))
	}
	return all
}

// filled has a complete copy of n entries.
func filled(t testing.TB, n int) *fixture {
	f := open(t)
	for at := 0; at < n; at += command.MaxPeople {
		f.copy(command.CopyPeople{Full: at == 0, Changed: persons(at, min(n, at+command.MaxPeople))})
	}
	f.copy(command.CopyPeople{Complete: true, Cookie: []byte("c")})
	return f
}

func TestTheCopyIsRead(t *testing.T) {
	f := filled(t, 30)
	d := f.directory()
	if d.Present != 30 || d.Complete == 0 || d.Full != d.Complete || string(d.Cookie) != "c" || d.Reading || d.Generation != 1 {
		t.Errorf("%+v", d)
	}
	if got := f.found("a:7@example.com"); len(got) != 1 || got[0] != key(7) {
		t.Error(got)
	}
	f.told = nil
	f.copy(command.CopyPeople{Changed: []command.Person{person(7, "a:new@example.com"), person(8)}, Complete: true})
	want := []people.Touched{{Directory: "d", Keys: []string{key(7)}, Index: []string{"a:7@example.com", "a:new@example.com", "l:7"}}}
	if x := cmp.Diff(want, f.told); x != "" {
		t.Error(x)
	}
	f.told = nil
	f.copy(command.CopyPeople{Changed: []command.Person{person(7, "a:new@example.com")}, Complete: true})
	if len(f.told) > 0 {
		t.Errorf("what was known is told: %v", f.told)
	}
	f.restore()
	if len(f.told) != 1 || !f.told[0].All {
		t.Errorf("after an image: %v", f.told)
	}
	if got := f.found("a:new@example.com"); len(got) != 1 {
		t.Error(got)
	}
	if _, err := f.apply(&command.DropPeople{Directory: "d"}); err != nil {
		t.Fatal(err)
	}
	if got := f.found("a:7@example.com"); len(got) != 0 || f.directory().Batches != 0 {
		t.Errorf("a dropped directory has %v, %+v", got, f.directory())
	}
	if all, err := f.m.People().Directories(); len(all) > 0 || err != nil {
		t.Error(all, err)
	}
}

// Who is there just so need not be copied again.
func TestWhatIsThereIsKnown(t *testing.T) {
	f := filled(t, 40)
	f.copy(command.CopyPeople{Gone: keys(0, 1), Changed: all(1, 2, bare)})
	f.copy(command.CopyPeople{Gone: keys(20, 40)})
	for n, want := range map[int]bool{0: false, 1: false, 2: true, 30: false, 50: false} {
		p := person(n)
		if has, err := f.m.People().Has(&p); has != want || err != nil {
			t.Errorf("entry %d: %v %v", n, has, err)
		}
	}
}

// One of two nodes that follow a directory is told.
func TestBatchesComeInOrder(t *testing.T) {
	f := filled(t, 1)
	after := f.directory().Batches
	for i, want := range []rookery.Kind{0, rookery.KindConflict} {
		_, err := f.apply(&command.CopyPeople{Directory: "d", After: after, Complete: true})
		if (want == 0) != (err == nil) || want != 0 && !rookery.Is(err, want) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestBatchesAreBounded(t *testing.T) {
	f := filled(t, 1)
	after := f.directory().Batches
	many := make([]string, command.MaxPersonIndexes+1)
	for i := range many {
		many[i] = fmt.Sprint("x", i)
	}
	large := command.Person{Key: "d/1", Value: make([]byte, command.MaxPersonValue)}
	one := func(p command.Person) command.CopyPeople {
		return command.CopyPeople{Directory: "d", Changed: []command.Person{p}}
	}
	for name, x := range map[string]struct {
		kind rookery.Kind
		c    command.CopyPeople
	}{
		"no directory":       {rookery.KindInvalid, command.CopyPeople{}},
		"a slash in it":      {rookery.KindInvalid, command.CopyPeople{Directory: "a/b"}},
		"another's key":      {rookery.KindInvalid, one(command.Person{Key: "e/1"})},
		"no key":             {rookery.KindInvalid, command.CopyPeople{Directory: "d", Gone: []string{"d/"}}},
		"a long key":         {rookery.KindInvalid, one(command.Person{Key: "d/" + strings.Repeat("x", people.MaxKey)})},
		"too many":           {rookery.KindTooLarge, command.CopyPeople{Directory: "d", Changed: persons(0, 500), Gone: []string{"d/x"}}},
		"a large value":      {rookery.KindTooLarge, one(command.Person{Key: "d/1", Value: make([]byte, 64<<10+1)})},
		"many index strings": {rookery.KindTooLarge, one(command.Person{Key: "d/1", Index: many})},
		"a NUL":              {rookery.KindInvalid, one(command.Person{Key: "d/1", Index: []string{"a:\x00"}})},
		"large together":     {rookery.KindTooLarge, command.CopyPeople{Directory: "d", Changed: slices.Repeat([]command.Person{large}, 17)}},
		"a large cookie":     {rookery.KindTooLarge, command.CopyPeople{Directory: "d", Cookie: make([]byte, command.MaxPeopleCookie+1)}},
	} {
		x.c.After = after
		if _, err := f.apply(&x.c); !rookery.Is(err, x.kind) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if f.directory().Batches != after {
		t.Error("what was refused counts")
	}
}

// An address that two entries have is found by both, and is told, until one gives
// it up or vanishes.
func TestConflictsAreTold(t *testing.T) {
	f := filled(t, 40)
	shared := "a:shared@example.com"
	f.copy(command.CopyPeople{Changed: []command.Person{person(1, shared), person(2, shared), person(3, "d:shared"), person(4, "d:shared")}})
	conflicts := func(want ...string) {
		t.Helper()
		got, err := f.m.People().Conflicts("d", 10)
		if x := cmp.Diff(want, got); x != "" || err != nil || int(f.directory().Conflicts) != len(want) {
			t.Error(x, err, f.directory().Conflicts)
		}
	}
	conflicts(shared)
	if got := f.found(shared); len(got) != 2 {
		t.Error(got)
	}
	f.copy(command.CopyPeople{Gone: []string{key(1)}})
	conflicts()
	f.copy(command.CopyPeople{Changed: []command.Person{person(1, shared)}})
	conflicts(shared)
	f.copy(command.CopyPeople{Changed: []command.Person{person(2)}})
	conflicts()
}

// What a read of everything does not name has vanished: it is still found, and
// comes back as it was.
func TestVanishedEntriesStay(t *testing.T) {
	f := filled(t, 40)
	f.copy(command.CopyPeople{Full: true, Changed: persons(1, 20)})
	if e := f.entry(0); e.Vanished != 0 {
		t.Error("it has vanished before the read was over")
	}
	f.copy(command.CopyPeople{Changed: persons(20, 39), Named: []string{key(39), "d/unknown"}, Complete: true})
	d := f.directory()
	if e := f.entry(0); e.Vanished == 0 || d.Vanished != 1 || d.Present != 39 || d.Cookie != nil {
		t.Errorf("%+v %+v", e, d)
	}
	if e := f.entry(39); e.Vanished != 0 {
		t.Error("an entry has vanished that was named")
	}
	if all, _ := f.m.People().Found("d", "a:0@example.com", 9); len(all) != 1 || all[0].Vanished == 0 {
		t.Errorf("%+v", all)
	}
	f.copy(command.CopyPeople{Changed: persons(0, 1)})
	if e, d := f.entry(0), f.directory(); e.Vanished != 0 || d.Vanished != 0 || d.Present != 40 {
		t.Errorf("%+v %+v", e, d)
	}
}

// A read that ends in the middle, and begins again, does not count what was named
// the first time.
func TestAReadBeginsAgain(t *testing.T) {
	f := filled(t, 30)
	f.copy(command.CopyPeople{Full: true, Changed: persons(0, 10)})
	f.copy(command.CopyPeople{Full: true, Changed: persons(1, 30), Complete: true})
	if f.entry(0).Vanished == 0 || f.directory().Vanished != 1 {
		t.Errorf("%+v", f.directory())
	}
}
