package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/pack"
)

// checkPacks looks whether the packs are there that segments name: between two images a
// message may have come and gone, whose body no image names. With Depth All each is
// read, and its bodies compared with the digests that it carries.
func (g *group) checkPacks(ctx context.Context) error {
	if g.o.Account != (rookery.AccountID{}) {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(g.packs)) {
		err := g.pack(ctx, id, g.packs[id])
		switch {
		case err == nil:
			g.report.Packs++
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case !rookery.Is(err, rookery.KindDamaged) && !rookery.Is(err, rookery.KindNotFound):
			g.report.Unchecked++
			continue
		}
		f := Finding{Group: g.id, Key: pack.Key(g.id, id), Fault: Damaged, Detail: err.Error(),
			Mend: "rookery storage check -all -repair; where no good copy is left, bring it back from a version or a replica of the object store"}
		if rookery.Is(err, rookery.KindNotFound) {
			f.Fault, f.Detail = Missing, "segments of the archive name a pack that the object store does not have"
		}
		if err := g.found(f); err != nil {
			return err
		}
	}
	return nil
}

// pack looks at one, of which segments name bytes up to end.
func (g *group) pack(ctx context.Context, id command.PackID, end int64) error {
	key := pack.Key(g.id, id)
	info, err := g.o.Live.Stat(ctx, key)
	if err != nil {
		return err
	}
	if info.Size < end {
		return differs("it has %d bytes, and segments of the archive name bodies up to byte %d of it", info.Size, end)
	}
	if g.o.Depth != All {
		return nil
	}
	tail, err := pack.ReadTail(ctx, g.o.Live, key, info.Size)
	if err != nil {
		return err
	}
	entries, err := pack.ParseTail(tail, int64(pack.HeaderLen(id)), info.Size)
	if err != nil {
		return err
	}
	for _, e := range entries {
		sum, _, err := pack.Digest(ctx, g.o.Live, key, e.Off, e.Len)
		if err != nil {
			return err
		}
		if sum != e.SHA256 {
			return rookery.E("verify", rookery.KindDamaged, fmt.Errorf("the %d bytes at %d, body %d, fail their SHA-256", e.Len, e.Off, e.Body))
		}
	}
	return nil
}
