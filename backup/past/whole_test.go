package past

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/backup/archive"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/state"
)

// whole brings the group back, and tells what each account looks like there.
func (w *world) whole(at int64) (seenOf map[rookery.AccountID]string, r Result, err error) {
	store, err := state.Open("state", vfs.NewMem(), state.Options{MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	w.must(err)
	defer store.Close()
	var machine *mailbox.Machine
	group, err := store.Group(testGroup, func(g *state.Group) state.Machine {
		machine = mailbox.New(nil)(g)
		return machine
	})
	w.must(err)
	kept := map[string][]byte{}
	place := func(i rookery.LogIndex, term uint64) string { return fmt.Sprintf("%d/%d", i, term) }
	r, err = Group(context.Background(), GroupOptions{
		Archive: w.archive, Group: testGroup, State: group, At: at, Live: w.live, Configuration: []byte("one server"),
		Put: func(i rookery.LogIndex, term uint64, data []byte) error {
			kept[place(i, term)] = data
			return nil
		},
	})
	if err != nil {
		return nil, r, err
	}
	if index, _ := group.Applied(); index != r.Next-1 || index < w.log[len(w.log)-1].Index {
		w.t.Errorf("it goes on behind entry %d, and says %d; there were %d", index, r.Next, len(w.log))
	}
	if _, at := group.Configuration(); at != r.Next-1 {
		w.t.Errorf("its configuration is of entry %d", at)
	}
	read := func(x mailbox.Body) (content []byte, err error) {
		for _, p := range x.Pack {
			b := make([]byte, p.Len)
			in, err := w.live.Get(context.Background(), pack.Key(testGroup, p.Pack), p.Off, p.Len)
			if err != nil {
				return nil, err
			}
			if _, err := io.ReadFull(in, b); err != nil {
				return nil, err
			}
			in.Close()
			content = append(content, b...)
		}
		for _, p := range x.Log {
			data := kept[place(p.Index, p.Term)]
			if len(x.Pack) > 0 {
				break
			}
			if int64(len(data)) < p.Off+p.Len {
				return nil, fmt.Errorf("entry %d has %d bytes", p.Index, len(data))
			}
			content = append(content, data[p.Off:p.Off+p.Len]...)
		}
		return content, nil
	}
	seenOf = map[rookery.AccountID]string{}
	for _, id := range w.ids {
		v, err := machine.View(id)
		if err != nil {
			return nil, r, err
		}
		if seenOf[id], err = seen(v, func(e mailbox.Email) string {
			b, err := v.Body(e.Body)
			if err != nil {
				return err.Error()
			}
			content, err := read(b)
			if err != nil {
				return err.Error()
			}
			return digest(content)
		}); err != nil {
			return nil, r, err
		}
		v.Close()
	}
	return seenOf, r, nil
}

// TestAGroupComesBackAsItWas: for random histories, the whole group at a random second is
// what was live then, and no body is missing.
func TestAGroupComesBackAsItWas(t *testing.T) {
	n, seed := number(t, "ROOKERY_RESTORES", 25), number(t, "ROOKERY_SEED", uint64(time.Now().UnixNano()))
	t.Logf("%d restores: repeat with ROOKERY_SEED=%d ROOKERY_RESTORES=%d", n, seed, n)
	entries, bodies := uint64(0), 0
	for done := uint64(0); done < n; seed++ {
		w := newWorld(t, seed)
		type group struct {
			at   int64
			seen map[rookery.AccountID]string
		}
		var moments []group
		for range 250 {
			w.step()
			w.maybeArchive()
			if images, err := archive.Images(t.Context(), w.archive.Store, testGroup); w.rng.IntN(50) == 0 && err == nil && len(images) > 0 {
				m := group{w.group.Time(), map[rookery.AccountID]string{}}
				for _, id := range w.ids {
					m.seen[id] = w.liveNow(id)
				}
				moments = append(moments, m)
			}
		}
		w.archived(true)
		for _, m := range moments {
			got, r, err := w.whole(m.at)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if r.Lost > 0 || !cmp.Equal(got, m.seen) {
				t.Fatalf("seed %d at %d, %d pieces of bodies lost:\n%s", seed, m.at, r.Lost, cmp.Diff(m.seen, got))
			}
			entries, bodies = entries+r.Entries, bodies+r.Bodies
			if done++; done >= n {
				break
			}
		}
	}
	if entries == 0 || bodies == 0 {
		t.Errorf("%d entries were replayed, and %d bodies taken from the archive: the test proves less than it says", entries, bodies)
	}
}

// TestTheLastSecondsAreNotVouchedFor: what a leader cannot vouch for is in no checkpoint,
// and a checkpoint never says more than the archive has.
func TestTheLastSecondsAreNotVouchedFor(t *testing.T) {
	w := newWorld(t, 5)
	for range 200 {
		w.step()
		w.maybeArchive()
		p := w.archiver.Position()
		if p.Complete == 0 {
			continue
		}
		if limit := w.now.Add(-archive.Settled).UnixNano(); p.Complete > limit {
			t.Fatalf("everything until %d is said to be there, and only what is older than %d can be", p.Complete, limit)
		}
	}
	if w.archiver.Position().Complete == 0 {
		t.Error("nothing was ever vouched for")
	}
}
