package elected

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"rookery/directory"
	"rookery/storage/command"
)

// has has entries whose keys end in a seven.
func has(p *command.Person) (bool, error) { return strings.HasSuffix(p.Key, "7"), nil }

func (f *following) cut(t *testing.T, b directory.Batch) []*command.CopyPeople {
	t.Helper()
	all, err := f.commands(b)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func fresh() *following {
	return &following{s: &Service{o: Options{Has: has, Logger: slog.New(slog.DiscardHandler)}}, source: Source{ID: "d", Name: "main"}}
}

func record(n, size int) directory.Record {
	rng := rand.New(rand.NewPCG(uint64(n), 1))
	var b strings.Builder
	for b.Len() < size {
		fmt.Fprintf(&b, "%x", rng.Uint64())
	}
	return directory.Record{Entry: directory.Entry{Key: fmt.Sprintf("d/%d", n), Name: b.String()}}
}

// A batch becomes as many commands as fit the log, of which the first begins and the
// last ends it; nothing is lost on the way.
func TestBatchesAreCut(t *testing.T) {
	b := directory.Batch{Full: true, Complete: true, Cookie: []byte("c"), Gone: []string{"d/gone", "e/other"}}
	for n := range 900 {
		b.Changed = append(b.Changed, record(n, 4000))
	}
	b.Changed = append(b.Changed, record(900, 200_000), directory.Record{Entry: directory.Entry{Key: "e/1"}})
	f := fresh()
	all := f.cut(t, b)
	changed, gone, named := 0, 0, 0
	for i, c := range all {
		first, last := i == 0, i == len(all)-1
		if c.Full != first || c.Complete != last || (string(c.Cookie) == "c") != last || c.Directory != "d" {
			t.Errorf("command %d of %d: full %v, complete %v, cookie %q", i, len(all), c.Full, c.Complete, c.Cookie)
		}
		if n := len(command.Encode(c)); n > 1<<20-1<<10 || len(c.Changed)+len(c.Gone)+len(c.Named) > command.MaxPeople {
			t.Errorf("command %d has %d bytes", i, n)
		}
		changed, gone, named = changed+len(c.Changed), gone+len(c.Gone), named+len(c.Named)
	}
	if len(all) < 4 || changed != 810 || gone != 1 || named != 91 {
		t.Errorf("%d commands with %d changed, %d gone, %d named", len(all), changed, gone, named)
	}
	if !strings.Contains(f.problem(), "cannot be copied") {
		t.Errorf("nothing is said of what cannot be copied: %q", f.problem())
	}
	if all := fresh().cut(t, directory.Batch{Complete: true}); len(all) != 1 || !all[0].Complete || all[0].Full {
		t.Errorf("%+v", all)
	}
	if all := fresh().cut(t, directory.Batch{Cookie: make([]byte, command.MaxPeopleCookie+1)}); len(all[0].Cookie) != 0 {
		t.Error("a cookie that is too large is kept")
	}
}
