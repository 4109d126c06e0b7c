package replicas

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
	"rookery/cmd/node/datadir"
	"rookery/storage/state"
)

// flaky refuses, then answers doubtfully, a number of times each, then applies.
type flaky struct {
	group
	refusals, doubts int
	entries          [][]byte
}

func (f *flaky) Apply(ctx context.Context, data []byte) (rookery.LogIndex, []byte, error) {
	if len(f.entries) < 10 {
		f.entries = append(f.entries, data)
	}
	if f.refusals > 0 {
		f.refusals--
		return 0, nil, rookery.E("apply", rookery.KindUnavailable, errors.New("no leader"))
	}
	if f.doubts > 0 {
		f.doubts--
		return 0, nil, rookery.E("apply", rookery.KindUnknown, errors.New("lost leadership"))
	}
	return 7, state.OK([]byte("done")), nil
}

func TestProposerSendsADoubtfulCommandAgainUnderItsID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{doubts: 3}
		r := newProposer(datadir.Identity{Node: "n1", Epoch: 4}, time.Now, nil)
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

func TestProposerGivesUpInDoubtWhenTheCallerDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newProposer(datadir.Identity{Node: "n1", Epoch: 1}, time.Now, nil)
		r.add(2, &flaky{doubts: 1 << 30})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, _, err := r.Apply(ctx, 2, nil); !rookery.Is(err, rookery.KindUnknown) {
			t.Errorf("error %v is not doubtful", err)
		}
	})
}

// A command that nobody has taken is given up while the client still waits; one
// in doubt is not, until the node closes.
func TestProposerPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		r := newProposer(datadir.Identity{Node: "n1", Epoch: 1}, time.Now, ended)
		r.add(2, &flaky{refusals: 1 << 30})
		r.add(3, &flaky{refusals: 20})
		r.add(4, &flaky{refusals: 3, doubts: 1 << 30})
		began := time.Now()
		_, _, err := r.Apply(t.Context(), 2, nil)
		if took := time.Since(began); !rookery.Is(err, rookery.KindUnavailable) || took < patience || took > patience+retryMost {
			t.Errorf("without a leader: %v after %v", err, took)
		}
		if _, _, err := r.Apply(t.Context(), 3, nil); err != nil {
			t.Errorf("a leader within the patience: %v", err)
		}
		began = time.Now()
		time.AfterFunc(3*time.Minute, func() { close(ended) })
		_, _, err = r.Apply(t.Context(), 4, nil)
		if took := time.Since(began); !rookery.Is(err, rookery.KindUnknown) || took < 3*time.Minute || took > 3*time.Minute+retryMost {
			t.Errorf("in doubt: %v after %v", err, took)
		}
	})
}

// However a group comes and goes on this node, the numbers of its commands go
// on: one used twice would be taken for a command sent again, and dropped.
func TestProposerNumbersGoOnWhenTheWayChanges(t *testing.T) {
	far, near := &flaky{}, &flaky{}
	r := newProposer(datadir.Identity{Node: "n1", Epoch: 1}, time.Now, nil)
	r.away = func(rookery.GroupID) (group, error) { return far, nil }
	for range 2 {
		if _, _, err := r.Apply(t.Context(), 2, []byte("cmd")); err != nil {
			t.Fatal(err)
		}
	}
	r.add(2, near)
	if _, _, err := r.Apply(t.Context(), 2, []byte("cmd")); err != nil {
		t.Fatal(err)
	}
	if len(far.entries) != 2 || len(near.entries) != 1 {
		t.Fatalf("%d commands went away and %d here, want 2 and 1", len(far.entries), len(near.entries))
	}
	if h, _, err := state.Unwrap(near.entries[0]); err != nil || h.Seq != 3 {
		t.Errorf("the third command has number %d %v", h.Seq, err)
	}
}
