package mailbox

import (
	"context"

	"rookery"
)

// censusMost bounds the keys that a Census keeps.
const censusMost = 1 << 16

// Census is the count and digest of an account's rows, taken at one instant and
// kept current by the marks of what changed since, so that a frozen account
// need not be read as a whole. It holds a view open and must be closed. It
// serves one goroutine.
type Census struct {
	then    *Export
	sum     tally
	changed map[string]bool
	stale   bool
}

// Census counts what there is of an account, which takes as long as reading it
// all.
func (m *Machine) Census(ctx context.Context, id rookery.AccountID) (*Census, error) {
	c := &Census{then: m.Export(id), changed: map[string]bool{}}
	var err error
	if c.sum, err = c.then.count(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close ends it.
func (c *Census) Close() { c.then.Close() }

// Changed notes a part of the marks. Every part that is copied after the
// Census was taken must be.
func (c *Census) Changed(part Marked) {
	for _, r := range part.Rows {
		c.changed[string(r.Key)] = true
	}
	if len(part.Clear) > 0 || len(c.changed) > censusMost {
		c.stale, c.changed = true, map[string]bool{}
	}
}

// Stale reports that too much has changed: rows were removed by their
// beginnings, or there are too many.
func (c *Census) Stale() bool { return c.stale }

// Digest is that of a later view of the account. A stale Census counts all of
// it.
func (c *Census) Digest(ctx context.Context, now *Export) (rows uint64, digest [16]byte, err error) {
	if c.stale {
		return now.Digest(ctx)
	}
	sum := c.sum
	for k := range c.changed {
		if err := c.then.tallyRow(&sum, k, -1); err != nil {
			return 0, digest, err
		}
		if err := now.tallyRow(&sum, k, 1); err != nil {
			return 0, digest, err
		}
	}
	return sum.rows, sum.digest, nil
}

// tallyRow adds a row to a sum, or takes it away, if it is there.
func (x *Export) tallyRow(sum *tally, k string, n int) error {
	v, err := x.row([]byte(k))
	if err != nil || v == nil {
		return err
	}
	sum.add([]byte(k), v, n)
	return nil
}

// Digest counts and sums all rows that travel, for ImportSeal.
func (x *Export) Digest(ctx context.Context) (rows uint64, digest [16]byte, err error) {
	sum, err := x.count(ctx)
	return sum.rows, sum.digest, err
}

func (x *Export) count(ctx context.Context) (sum tally, err error) {
	err = x.each(nil, func(k, v []byte) bool {
		sum.add(k, v, 1)
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	return sum, err
}
