package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"rookery"
	"rookery/backup/sealed"
	"rookery/storage/blob"
)

// A Checkpoint says how far the archive of every group was at one moment. A cluster is
// brought back to the earliest of its times, which is one cut through all groups: what
// one of them had done because of another is in the archive of both.
type Checkpoint struct {
	// Number is one more than that of the checkpoint before, whose object has the
	// SHA-256 sum Prev. The first has number 1 and no Prev.
	Number uint64 `cbor:"1,keyasint"`
	Prev   []byte `cbor:"2,keyasint,omitempty"`
	// Generation is the cluster's: 0 until a majority was lost or it was restored.
	Generation uint64 `cbor:"3,keyasint,omitempty"`
	// Groups are all groups of the cluster, sorted.
	Groups []GroupPoint `cbor:"4,keyasint"`
}

// GroupPoint is how far one group is in a checkpoint.
type GroupPoint struct {
	Group rookery.GroupID `cbor:"1,keyasint"`
	// Upto is the last entry that the archive had.
	Upto rookery.LogIndex `cbor:"2,keyasint"`
	// Complete is a group time, unix nanoseconds, up to which nothing is missing: its
	// leader has vouched for that.
	Complete int64 `cbor:"3,keyasint"`
}

// Cut is the time that a cluster can be brought back to by the checkpoint.
func (c *Checkpoint) Cut() int64 {
	cut := int64(math.MaxInt64)
	for _, g := range c.Groups {
		cut = min(cut, g.Complete)
	}
	return cut
}

const checkpoints = "cut/"

// checkpointKey names a checkpoint, so that names sort by generation and number.
func checkpointKey(generation, number uint64) string {
	return fmt.Sprintf("%s%08x-%016x", checkpoints, generation, number)
}

// Chain writes checkpoints, each naming the one before. It is for one goroutine.
type Chain struct {
	Cluster string
	Store   blob.Store
	Keys    sealed.Keys

	last Checkpoint
	sum  []byte
	old  []string // names of what later ones have replaced
	read bool
}

// keepCheckpoints is how many replaced ones are removed at once, and how many stay for
// who reads them meanwhile.
const keepCheckpoints = 64

// Write adds a checkpoint of groups. It writes nothing where they have not gone on
// since the last one, unless anyway says so.
func (c *Chain) Write(ctx context.Context, generation uint64, groups []GroupPoint, anyway bool) error {
	if !c.read {
		last, sum, all, err := newest(ctx, c.Store, c.Cluster, c.Keys)
		if err != nil && !rookery.Is(err, rookery.KindNotFound) {
			return err
		}
		c.last, c.sum, c.old, c.read = last, sum, all, true
	}
	same := func(a, b GroupPoint) bool { return a.Group == b.Group && a.Upto == b.Upto }
	if !anyway && c.last.Generation == generation && slices.EqualFunc(groups, c.last.Groups, same) {
		return nil
	}
	next := Checkpoint{Number: c.last.Number + 1, Prev: c.sum, Generation: generation, Groups: groups}
	name := checkpointKey(generation, next.Number)
	w, err := sealed.NewWriter(ctx, sealed.Place{Cluster: c.Cluster, Kind: sealed.Checkpoint, Name: name}, c.Keys)
	if err != nil {
		return err
	}
	object, err := w.Finish(&next)
	if err != nil {
		return err
	}
	if err := c.Store.Put(ctx, name, bytes.NewReader(object), int64(len(object)), blob.PutOptions{}); err != nil {
		c.read = false // it may be there all the same
		return rookery.E("write "+name, 0, err)
	}
	sum := sha256.Sum256(object)
	c.last, c.sum, c.old = next, sum[:], append(c.old, name)
	if len(c.old) < 2*keepCheckpoints {
		return nil
	}
	gone := c.old[:len(c.old)-keepCheckpoints]
	if err := c.Store.Delete(ctx, gone...); err != nil {
		return rookery.E("remove old checkpoints", 0, err)
	}
	c.old = slices.Clone(c.old[len(gone):])
	return nil
}

// Newest is the newest checkpoint that opens, and whose forerunner is the one it names
// where that is still there. KindNotFound: there is none. KindDamaged: none of them is
// what was written.
func Newest(ctx context.Context, s blob.Store, cluster string, keys sealed.Keys) (Checkpoint, error) {
	c, _, _, err := newest(ctx, s, cluster, keys)
	return c, err
}

func newest(ctx context.Context, s blob.Store, cluster string, keys sealed.Keys) (c Checkpoint, sum []byte, names []string, err error) {
	sizes := map[string]int64{}
	if err := s.List(ctx, checkpoints, func(i blob.Info) error {
		names = append(names, i.Key)
		sizes[i.Key] = i.Size
		return nil
	}); err != nil {
		return c, nil, nil, err
	}
	slices.Sort(names)
	var damaged error
	for i := len(names) - 1; i >= 0; i-- {
		at := sealed.Place{Cluster: cluster, Kind: sealed.Checkpoint, Name: names[i]}
		c, sum, err := readCheckpoint(ctx, s, at, sizes[names[i]], keys)
		if err == nil && i > 0 && names[i-1] == checkpointKey(c.Generation, c.Number-1) {
			err = follows(ctx, s, &c, names[i], names[i-1])
		}
		switch {
		case err == nil:
			return c, sum, names, nil
		case !rookery.Is(err, rookery.KindDamaged):
			return c, nil, nil, err
		case damaged == nil:
			damaged = err
		}
	}
	if damaged != nil {
		return c, nil, names, damaged
	}
	return c, nil, nil, rookery.E("read archive", rookery.KindNotFound, errors.New("it has no checkpoint yet"))
}

func readCheckpoint(ctx context.Context, s blob.Store, at sealed.Place, size int64, keys sealed.Keys) (c Checkpoint, sum []byte,
	err error) {
	r, err := sealed.Open(ctx, s, at, size, keys)
	if err != nil {
		return c, nil, err
	}
	if err := r.Words(&c); err != nil {
		return c, nil, err
	}
	if len(c.Groups) == 0 || checkpointKey(c.Generation, c.Number) != at.Name {
		return c, nil, rookery.E("read "+at.Name, rookery.KindDamaged, errors.New("it is another checkpoint than its name says"))
	}
	sum, err = digest(ctx, s, at.Name)
	return c, sum, err
}

// follows refuses a checkpoint whose forerunner is not the one that it names.
func follows(ctx context.Context, s blob.Store, c *Checkpoint, name, before string) error {
	sum, err := digest(ctx, s, before)
	if rookery.Is(err, rookery.KindNotFound) {
		return nil // it was old
	}
	if err == nil && !bytes.Equal(sum, c.Prev) {
		err = rookery.E("read "+name, rookery.KindDamaged, fmt.Errorf("%s is not the checkpoint that it follows", before))
	}
	return err
}

func digest(ctx context.Context, s blob.Store, name string) ([]byte, error) {
	in, err := s.Get(ctx, name, 0, -1)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(in, sealed.MaxObject)); err != nil {
		return nil, rookery.E("read "+name, rookery.KindUnavailable, err)
	}
	return h.Sum(nil), nil
}

// IsCheckpoint reports whether an object's name is that of a checkpoint.
func IsCheckpoint(name string) bool { return strings.HasPrefix(name, checkpoints) }
