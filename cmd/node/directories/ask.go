package directories

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"rookery"
	"rookery/directory"
)

// begin is what serves a request that begins; the request must call
// users.Done when it ends.
func (p *Directories) begin() (*generation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil {
		return nil, rookery.E("ask directory", rookery.KindUnavailable,
			errors.New("no directory is set up; see: rookery config sample"))
	}
	p.current.users.Add(1)
	return p.current, nil
}

// Recipient is directory.Directory's.
func (p *Directories) Recipient(ctx context.Context, addr rookery.Address) (directory.Entry, error) {
	d, err := p.begin()
	if err != nil {
		return directory.Entry{}, err
	}
	defer d.users.Done()
	began := time.Now()
	e, err := d.Recipient(ctx, addr)
	p.observe("recipient", err, time.Since(began))
	return e, err
}

// ByKey gives an entry by its key, past every cache; while its directory cannot say,
// as the copy has it. KindNotFound: no directory of the settings has it.
func (p *Directories) ByKey(ctx context.Context, key string) (directory.Entry, error) {
	g, err := p.begin()
	if err != nil {
		return directory.Entry{}, err
	}
	defer g.users.Done()
	for _, d := range g.opened {
		if strings.HasPrefix(key, d.By.ID+"/") {
			began := time.Now()
			e, err := d.ByKey(ctx, key)
			p.observe("entry", err, time.Since(began))
			if rookery.Is(err, rookery.KindUnavailable) && d.Copy != nil {
				if copied, cerr := d.Copy.ByKey(key); cerr == nil {
					return copied, nil
				}
			}
			return e, err
		}
	}
	return directory.Entry{}, rookery.E("look up entry", rookery.KindNotFound,
		fmt.Errorf("%.200q is no entry of a directory in the settings", key))
}

// Standing says how entries stand, by their keys, past every cache. Of those
// whose directory cannot say it says nothing; the error is KindUnavailable then.
func (p *Directories) Standing(ctx context.Context, keys []string) (map[string]directory.Standing, error) {
	g, err := p.begin()
	if err != nil {
		return nil, err
	}
	defer g.users.Done()
	all := map[string]directory.Standing{}
	var errs []error
	for _, d := range g.opened {
		began := time.Now()
		some, err := d.Standing(ctx, keys)
		p.observe("standing", err, time.Since(began))
		errs = append(errs, err)
		maps.Copy(all, some)
	}
	return all, errors.Join(errs...)
}

// Copied says how entries stand by the copies, without asking a directory. Of those
// that no copy has it says nothing.
func (p *Directories) Copied(keys []string) map[string]directory.Standing {
	all := map[string]directory.Standing{}
	for _, d := range p.Opened() {
		if d.Copy != nil {
			maps.Copy(all, d.Copy.Standing(keys))
		}
	}
	return all
}

// Owner is what a directory entry is called now.
func (p *Directories) Owner(ctx context.Context, key string) (rookery.Owner, error) {
	e, err := p.ByKey(ctx, key)
	return e.Owner(), err
}

// Named gives the entry that an operator names by an address or a login, past
// every cache.
func (p *Directories) Named(ctx context.Context, who string) (e directory.Entry, err error) {
	g, err := p.begin()
	if err != nil {
		return e, err
	}
	defer g.users.Done()
	g.forget()
	if addr, aerr := rookery.ParseAddress(who); aerr == nil && g.Local(addr.Domain) {
		e, err = g.live.Recipient(ctx, addr)
	} else {
		e, err = g.live.Find(ctx, who)
	}
	if err != nil {
		return e, err
	}
	return p.ByKey(ctx, e.Key)
}

// Authenticate is directory.Directory's.
func (p *Directories) Authenticate(ctx context.Context, login, password string) (directory.Entry, error) {
	d, err := p.begin()
	if err != nil {
		return directory.Entry{}, err
	}
	defer d.users.Done()
	began := time.Now()
	e, err := d.Authenticate(ctx, login, password)
	p.observe("sign-in", err, time.Since(began))
	return e, err
}

// Find is directory.Finder's.
func (p *Directories) Find(ctx context.Context, login string) (directory.Entry, error) {
	d, err := p.begin()
	if err != nil {
		return directory.Entry{}, err
	}
	defer d.users.Done()
	began := time.Now()
	e, err := d.Find(ctx, login)
	p.observe("login", err, time.Since(began))
	return e, err
}

// Local is directory.Directory's.
func (p *Directories) Local(domain string) bool {
	d, err := p.begin()
	if err != nil {
		return false
	}
	defer d.users.Done()
	return d.Local(domain)
}
