package delivery

import (
	"context"
	"slices"

	"rookery"
	"rookery/storage/account"
	"rookery/storage/command"
)

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
