package node

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
	"rookery/storage/state"
)

// flaky answers doubtfully a number of times, then applies.
type flaky struct {
	group
	doubts  int
	entries [][]byte
}

func (f *flaky) Apply(ctx context.Context, data []byte) (rookery.LogIndex, []byte, error) {
	f.entries = append(f.entries, data)
	if f.doubts > 0 {
		f.doubts--
		return 0, nil, rookery.E("apply", rookery.KindUnknown, errors.New("lost leadership"))
	}
	return 7, state.OK([]byte("done")), nil
}

func TestRoadSendsADoubtfulCommandAgainUnderItsID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{doubts: 3}
		r := newRoad(identity{Node: "n1", Epoch: 4}, time.Now)
		r.add(2, f)
		index, result, err := r.Apply(t.Context(), 2, []byte("cmd"))
		if err != nil || index != 7 || string(state.DecodeResult(result).Value) != "done" {
			t.Fatalf("got %d %q %v", index, result, err)
		}
		if len(f.entries) != 4 {
			t.Fatalf("sent %d times, want 4", len(f.entries))
		}
		first, _, err := state.Unwrap(f.entries[0])
		if err != nil || first.Node != "n1" || first.Epoch != 4 || first.Seq != 1 {
			t.Fatalf("header %+v %v", first, err)
		}
		for _, e := range f.entries {
			if h, _, err := state.Unwrap(e); err != nil || h != first {
				t.Errorf("sent again as %+v, first as %+v", h, first)
			}
		}
	})
}

func TestRoadGivesUpInDoubtWhenTheCallerDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoad(identity{Node: "n1", Epoch: 1}, time.Now)
		r.add(2, &flaky{doubts: 1 << 30})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, _, err := r.Apply(ctx, 2, nil); !rookery.Is(err, rookery.KindUnknown) {
			t.Errorf("error %v is not doubtful", err)
		}
	})
}
