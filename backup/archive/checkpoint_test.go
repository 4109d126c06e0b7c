package archive

import (
	"bytes"
	"context"
	"io"
	"testing"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/blob/dir"
)

type oneKey [32]byte

func (k *oneKey) Current(context.Context) (uint32, []byte, error) { return 1, k[:], nil }
func (k *oneKey) Key(context.Context, uint32) ([]byte, error)     { return k[:], nil }

// TestCheckpointsNameTheOneBefore: the newest that is what was written counts; one that is
// changed, copied from elsewhere or put behind another is passed over, and many leave few.
func TestCheckpointsNameTheOneBefore(t *testing.T) {
	store, err := dir.Open(t.TempDir())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	ctx, keys := t.Context(), new(oneKey)
	newest := func() (uint64, error) {
		c, err := Newest(ctx, store, "c1", keys)
		return c.Number, err
	}
	if _, err := newest(); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("an empty archive: %v", err)
	}
	c := &Chain{Cluster: "c1", Store: store, Keys: keys}
	at := func(n int64) []GroupPoint { return []GroupPoint{{1, rookery.LogIndex(n), n}, {2, 5, n + 7}} }
	for n := range int64(300) {
		must(c.Write(ctx, 0, at(n+1), false))
		if n == 200 {
			c = &Chain{Cluster: "c1", Store: store, Keys: keys} // another leader
		}
	}
	must(c.Write(ctx, 0, at(300), false)) // nothing new
	got, err := Newest(ctx, store, "c1", keys)
	if err != nil || got.Number != 300 || got.Cut() != 300 {
		t.Errorf("the newest is %+v, %v", got, err)
	}
	var names []string
	must(store.List(ctx, checkpoints, func(i blob.Info) error {
		names = append(names, i.Key)
		return nil
	}))
	if len(names) < 2 || len(names) > 2*keepCheckpoints {
		t.Errorf("%d checkpoints are kept", len(names))
	}
	read := func(name string) []byte {
		in, err := store.Get(ctx, name, 0, -1)
		must(err)
		defer in.Close()
		b, err := io.ReadAll(in)
		must(err)
		return b
	}
	put := func(name string, b []byte) {
		must(store.Put(ctx, name, bytes.NewReader(b), int64(len(b)), blob.PutOptions{}))
	}
	last, before := checkpointKey(0, 300), checkpointKey(0, 299)
	whole := read(last)
	for what, b := range map[string][]byte{
		"cut":                whole[:len(whole)-1],
		"changed":            append(bytes.Clone(whole[:40]), append([]byte{whole[40] ^ 1}, whole[41:]...)...),
		"another's":          read(before),
		"of another kind":    []byte("a checkpoint, surely, of more bytes than are needed for anything that such a thing could say of itself"),
		"too short for that": {1},
	} {
		put(last, b)
		if n, err := newest(); n != 299 || err != nil {
			t.Errorf("where the newest is %s, number %d counts, %v", what, n, err)
		}
	}
	put(last, whole)
	put(before, read(checkpointKey(0, 298)))
	if n, err := newest(); n != 298 || err != nil {
		t.Errorf("behind one that it does not name, number %d counts, %v", n, err)
	}
	if _, err := Newest(ctx, store, "c2", keys); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("another cluster's: %v", err)
	}
	must(c.Write(ctx, 3, at(7), false)) // a later generation goes before all numbers
	if got, err := Newest(ctx, store, "c1", keys); err != nil || got.Generation != 3 || got.Cut() != 7 {
		t.Errorf("of a later generation: %+v, %v", got, err)
	}
}
