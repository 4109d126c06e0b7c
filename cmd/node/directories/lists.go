package directories

import (
	"context"
	"fmt"

	"rookery"
	"rookery/directory"
)

// List is delivery.Lists': lists are known by the copies.
func (p *Directories) List(ctx context.Context, addr rookery.Address) (r directory.Record, who directory.Expansion, err error) {
	g, err := p.begin()
	if err != nil {
		return r, who, err
	}
	defer g.users.Done()
	var of *Opened
	for _, d := range g.opened {
		if d.Copy == nil || !d.Copy.Local(addr.Domain) {
			continue
		}
		x, err := d.Copy.List(ctx, addr)
		switch {
		case rookery.Is(err, rookery.KindNotFound):
		case err != nil:
			return r, who, err
		case of != nil:
			return r, who, rookery.E("look up list", rookery.KindUnavailable,
				fmt.Errorf("%s is a list of the directories %q and %q: remove it from one", addr, of.By.Name, d.By.Name))
		default:
			r, of = x, d
		}
	}
	if of == nil {
		return r, who, rookery.E("look up list", rookery.KindNotFound, fmt.Errorf("there is no list %s", addr))
	}
	who, err = of.Copy.Expand(ctx, r.Key)
	if rookery.Is(err, rookery.KindNotFound) { // it has gone between
		err = rookery.E("look up list", rookery.KindUnavailable, err)
	}
	return r, who, err
}
