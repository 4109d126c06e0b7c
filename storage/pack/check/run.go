package check

import (
	"context"
	"fmt"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
)

// Progress is how far a Checker is in its group.
type Progress struct {
	// Pack is the last one done; a check may go on after it.
	Pack command.PackID `json:"pack"`
	// Packs and Bytes were checked, Passed over by the sample; Of are all the
	// packs to go through.
	Packs  int   `json:"packs"`
	Passed int   `json:"passed"`
	Of     int   `json:"of"`
	Bytes  int64 `json:"bytes"`
	// Unchecked packs could not be read now; nothing is known of them.
	Unchecked int `json:"unchecked"`
}

// Run checks the group's packs behind after that pick chooses, in the order of
// their ids, then Bodies where some are damaged or all were asked for. Of packs
// that are passed over it still notices that their objects are not there, or
// not of their size: by a listing of the store, and where that shows fewer than
// there should be, one by one. It tells progress after each pack. Packs that the
// store does not give now are counted and passed over; a store that fails three
// times in a row ends the check with its error.
func (c *Checker) Run(ctx context.Context, after command.PackID, all bool, pick func(mailbox.Pack) bool,
	progress func(Progress) error) error {
	s := Progress{Pack: after}
	var err error
	if s.Of, err = c.count(after); err != nil {
		return err
	}
	if !all {
		if c.some, err = c.someMissing(ctx); err != nil {
			return err
		}
	}
	row := 0
	for {
		packs, err := c.o.State.Packs(s.Pack, rowsAtOnce)
		if err != nil {
			return err
		}
		for _, p := range packs {
			if err := c.step(ctx, p, pick, &s, &row); err != nil {
				return err
			}
			s.Pack = p.ID
			if err := progress(s); err != nil {
				return err
			}
		}
		if len(packs) < rowsAtOnce {
			break
		}
	}
	if all || c.Suspicious() {
		return c.Bodies(ctx)
	}
	return nil
}

// step checks one pack, or counts why not. row counts failures in a row.
func (c *Checker) step(ctx context.Context, p mailbox.Pack, pick func(mailbox.Pack) bool, s *Progress, row *int) error {
	picked := pick(p)
	if !picked && !c.some {
		s.Passed++
		return ctx.Err()
	}
	var n int64
	var err error
	if picked {
		n, err = c.Pack(ctx, p)
	} else {
		err = c.there(ctx, p)
	}
	s.Bytes += n
	switch {
	case err == nil && !picked:
		s.Passed++
	case err == nil:
		s.Packs++
		*row = 0
	case ctx.Err() != nil:
		return rookery.E("check packs", rookery.KindUnavailable, ctx.Err())
	case !rookery.Is(err, rookery.KindUnavailable) || *row == 2:
		return fmt.Errorf("pack %s of group %d: %w", p.ID, c.o.Group, err)
	default:
		s.Unchecked++
		*row++
	}
	return nil
}

// someMissing says whether a listing shows fewer of the group's objects, with
// their sizes, than the state has packs. What changes meanwhile makes it doubt,
// never trust.
func (c *Checker) someMissing(ctx context.Context) (bool, error) {
	expected := 0
	for after := command.PackID(""); ; {
		packs, err := c.o.State.Packs(after, 4*rowsAtOnce)
		if err != nil {
			return false, err
		}
		for _, p := range packs {
			if after = p.ID; p.State != mailbox.PackDeleted {
				expected++
			}
		}
		if len(packs) < 4*rowsAtOnce {
			break
		}
	}
	err := c.o.Store.List(ctx, "b/", func(i blob.Info) error {
		group, id, ok := pack.ParseKey(i.Key)
		if !ok || group != c.o.Group {
			return nil
		}
		p, err := c.record(id)
		if p != nil && p.Size == i.Size {
			expected--
		}
		return err
	})
	return expected > 0, err
}

// there asks the store for a pack's object without reading it.
func (c *Checker) there(ctx context.Context, p mailbox.Pack) error {
	if p.State == mailbox.PackDeleted {
		return nil
	}
	info, err := c.o.Store.Stat(ctx, pack.Key(c.o.Group, p.ID))
	switch {
	case rookery.Is(err, rookery.KindNotFound):
		return c.lost(ctx, p, FaultMissing, "there is no object "+pack.Key(c.o.Group, p.ID))
	case err == nil && info.Size != p.Size:
		return c.lost(ctx, p, FaultSize, fmt.Sprintf("the object has %d bytes, the state says %d", info.Size, p.Size))
	}
	return err
}

func (c *Checker) count(after command.PackID) (n int, err error) {
	for {
		packs, err := c.o.State.Packs(after, 4*rowsAtOnce)
		if err != nil {
			return 0, err
		}
		n += len(packs)
		if len(packs) < 4*rowsAtOnce {
			return n, nil
		}
		after = packs[len(packs)-1].ID
	}
}
