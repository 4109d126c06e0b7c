package delivery

import (
	"context"
	"slices"
	"time"

	"rookery"
	"rookery/storage/account"
	"rookery/storage/command"
)

// moveWait is how long a message waits for an account that is on its way to
// another group; moveAgain is the pause between two looks.
const (
	moveWait  = 15 * time.Second
	moveAgain = 50 * time.Millisecond
)

// wherever runs fn, which files a message as a whole or not at all, again while
// an account it is for is on its way. A command refused for that has done
// nothing.
func (d *Deliverer) wherever(ctx context.Context, fn func() error) error {
	began := time.Now()
	for {
		err := fn()
		if !rookery.Is(err, rookery.KindMoved) || time.Since(began) >= moveWait {
			return err
		}
		// After it this node knows of every move that was decided.
		if berr := d.o.Log.Barrier(ctx, rookery.SystemGroup); berr != nil {
			return rookery.E("deliver", rookery.KindUnavailable, berr)
		}
		select {
		case <-time.After(moveAgain):
		case <-ctx.Done():
			return err
		}
	}
}

// groupOf is an account's group as the map here has it by now.
func (d *Deliverer) groupOf(ctx context.Context, a *account.Account) rookery.GroupID {
	if group, err := d.o.Accounts.Group(ctx, a.ID()); err == nil {
		return group
	}
	return a.Group()
}

// portion is what one group files of a row.
type portion struct {
	group      rookery.GroupID
	deliveries []command.Delivery
}

// regroup sorts deliveries by the groups their accounts are in now. An account
// that was erased meanwhile gets nothing.
func (d *Deliverer) regroup(ctx context.Context, owed []command.Delivery) ([]portion, error) {
	var parts []portion
	for _, x := range owed {
		group, err := d.o.Accounts.Group(ctx, x.Account)
		if rookery.Is(err, rookery.KindNotFound) {
			d.o.Logger.Error("delivery: a recipient did not get an accepted message", "account", x.Account, "error", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(parts, func(p portion) bool { return p.group == group })
		if i < 0 {
			i = len(parts)
			parts = append(parts, portion{group: group})
		}
		parts[i].deliveries = append(parts[i].deliveries, x)
	}
	return parts, nil
}
