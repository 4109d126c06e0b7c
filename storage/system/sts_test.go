package system

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
)

// A policy stays until another one of its domain comes, on all replicas alike.
func TestSTSIsKept(t *testing.T) {
	f := open(t)
	f.applyAt(10, &command.KeepSTS{Domain: "a.example", ID: "1", Mode: 2, MX: []string{"mx.a.example"}, MaxAge: 60})
	f.applyAt(20, &command.KeepSTS{Domain: "b.example", ID: "1", MaxAge: 60})
	f.applyAt(30, &command.KeepSTS{Domain: "a.example", ID: "2", Mode: 1, MX: []string{"*.a.example"}, MaxAge: 90})
	got, found, err := f.m.STS("a.example")
	if d := cmp.Diff(STS{"2", 1, []string{"*.a.example"}, 30, 90}, got); d != "" || !found || err != nil {
		t.Error(d, found, err)
	}
	if want := time.Unix(90, 30); !got.Until().Equal(want) {
		t.Errorf("it ends at %v, want %v", got.Until(), want)
	}
	if _, found, err := f.m.STS("c.example"); found || err != nil {
		t.Error(found, err)
	}
	f.refused(rookery.KindInvalid, "a domain of", &command.KeepSTS{ID: "1"})
	f.refused(rookery.KindInvalid, "an id of", &command.KeepSTS{Domain: "a", ID: strings.Repeat("x", 33)})
	f.refused(rookery.KindTooLarge, "the names", &command.KeepSTS{Domain: "a", MX: make([]string, command.MaxSTSNames+1)})
}

// Past the bound the policy that was fetched longest ago goes, not one that was
// fetched again since.
func TestSTSAreAtMostSoMany(t *testing.T) {
	f := open(t)
	domain := func(i int) string { return fmt.Sprintf("%d.example", i) }
	at := int64(0)
	keep := func(i int) {
		at++
		f.applyAt(at, &command.KeepSTS{Domain: domain(i), MaxAge: 1})
	}
	for i := range MaxSTS {
		keep(i)
	}
	keep(0)
	keep(MaxSTS)
	keep(MaxSTS + 1)
	for i, want := range map[int]bool{0: true, 1: false, 2: false, 3: true, MaxSTS - 1: true, MaxSTS: true, MaxSTS + 1: true} {
		if _, found, err := f.m.STS(domain(i)); found != want || err != nil {
			t.Errorf("%s is kept: %v, want %v: %v", domain(i), found, want, err)
		}
	}
}
