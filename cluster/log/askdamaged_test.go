package log

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// Two peers have the same entry damaged, a third has it whole. One that is
// asked does not ask in turn, so that the question reaches the third, and a
// damaged log tells a peer so at once.
func TestDamagedOnTwoOfThree(t *testing.T) {
	third := peer(t, 1, 60, 1, 3000)
	var groups [2]*Group
	asked := 0
	for i := range groups {
		fs := vfs.NewMem()
		l := open(t, fs)
		fill(t, group(t, l, 1), 1, 60, 1, 3000)
		l.Close()
		name, off := find(t, fs, entry(3, 1, 3000).Data)
		flip(t, fs, name, off+100)
		groups[i] = group(t, open(t, fs, func(o *Options) {
			o.Repair = func(ctx context.Context, g rookery.GroupID, index rookery.LogIndex, term uint64) ([]byte, error) {
				if asked++; asked > 10 {
					t.Fatal("two damaged logs ask each other without end")
				}
				if b, err := groups[1-i].Record(index, term); err == nil {
					return b, nil
				}
				return third(ctx, g, index, term)
			}
		}), 1)
	}
	if _, err := groups[1].Record(3, 1); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("a peer is told %v", err)
	}
	for _, g := range groups {
		wantEntries(t, g, 1, 60, 1, 3000)
	}
	if asked != 2 {
		t.Errorf("%d questions, want one for each", asked)
	}
}
