package pack

import (
	"context"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// BodyReader fills p with a body's bytes from off.
type BodyReader func(ctx context.Context, p []byte, off int64) error

// Mend packs bodies anew whose place in the store is damaged, each from where
// good says that a copy was found and checked, and has the group agree on their
// new places. Those it could not read are left as they are. It waits out
// failures of the store and the group until ctx ends; what it mended until then
// stays mended.
func Mend(ctx context.Context, o Options, bodies []mailbox.Body, good map[command.BodyID]BodyReader) (mended []command.BodyID, err error) {
	o.Log = func(ctx context.Context, _ rookery.GroupID, index rookery.LogIndex, _ uint64, p []byte, off int64) error {
		return good[index](ctx, p, off)
	}
	p := NewPacker(o)
	var batch []mailbox.Body
	var sum int64
	flush := func() {
		if len(batch) > 0 && ctx.Err() == nil {
			if s := p.build(ctx, batch); s != nil && p.store(ctx, s) == nil && p.commit(ctx, s) == nil {
				for _, e := range s.entries {
					mended = append(mended, e.Body)
				}
			}
		}
		batch, sum = nil, 0
	}
	for _, b := range bodies {
		if good[b.ID] == nil {
			continue
		}
		b.Log = []mailbox.LogPiece{{Index: b.ID, Len: b.Encoded}}
		if b.Encoded > p.o.Large || sum+b.Encoded > p.o.MaxPack || len(batch) == MaxBodies/4 {
			flush()
		}
		batch, sum = append(batch, b), sum+b.Encoded
		if b.Encoded > p.o.Large {
			flush()
		}
	}
	flush()
	return mended, ctx.Err()
}
