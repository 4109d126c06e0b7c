// Package ldap is a directory.Directory over LDAP: OpenLDAP, Active
// Directory, 389 Directory Server and what resembles them. It owns the
// connections (pools, failover, health), the searches that turn addresses and
// logins into entries, and the binds that check passwords. It is the only
// package that knows go-ldap.
//
// It never writes to the directory, never follows referrals, never sends an
// empty password, and never searches on a connection that a user has bound.
// Whatever it cannot say for certain is KindUnavailable.
package ldap

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery"
	"rookery/directory"
)

// Directory answers from one LDAP service: one or several servers with the
// same content.
type Directory struct {
	cfg     Config
	logger  *slog.Logger
	servers []*server
	profile atomic.Pointer[profile] // nil until a server has been asked
	account *serviceAccount

	ctx      context.Context // ends at Close
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	now      func() time.Time
	slowSaid atomic.Int64 // when slow look-ups were last complained of, Unix seconds
	probes   chan bool    // the outcome of each server's first probe

	mu      sync.Mutex
	revived chan struct{} // closed and replaced when a server comes back
}

var (
	_ directory.Directory = (*Directory)(nil)
	_ directory.Finder    = (*Directory)(nil)
)

// Open checks the configuration and begins to watch the servers. It does not
// fail when they are away, so that a node starts without its directory: until
// one answers, everything is KindUnavailable. It waits for the first answer,
// but not longer than ctx or the dial timeout allow. KindInvalid for a
// configuration that cannot work.
func Open(ctx context.Context, cfg Config, logger *slog.Logger) (*Directory, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	d, err := assemble(cfg, logger)
	if err != nil {
		return nil, err
	}
	for _, s := range d.servers {
		d.wg.Go(s.watch)
	}
	wait, cancel := context.WithTimeout(ctx, cfg.DialTimeout+cfg.OperationTimeout)
	defer cancel()
	d.firstAnswer(wait)
	return d, nil
}

// assemble makes a directory that nothing watches yet.
func assemble(cfg Config, logger *slog.Logger) (*Directory, error) {
	d := &Directory{cfg: cfg, logger: logger.With("directory", cfg.Name), now: time.Now, account: newServiceAccount(),
		revived: make(chan struct{}), probes: make(chan bool, len(cfg.URLs))}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	for _, u := range cfg.URLs {
		s, err := newServer(d, u)
		if err != nil {
			d.cancel()
			return nil, err
		}
		d.servers = append(d.servers, s)
	}
	return d, nil
}

// firstAnswer waits until a server is up, or every one was probed once.
func (d *Directory) firstAnswer(ctx context.Context) {
	for range d.servers {
		select {
		case up := <-d.probes:
			if up {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// Close ends all connections and waits for the watchers. Calls still running
// fail with KindUnavailable.
func (d *Directory) Close() error {
	d.cancel()
	for _, s := range d.servers {
		s.drop()
	}
	d.wg.Wait()
	for _, s := range d.servers {
		s.drop()
	}
	return nil
}

// Name is what logs and errors call the directory.
func (d *Directory) Name() string { return d.cfg.Name }

// Local reports whether the domain is one of the configured mail domains.
func (d *Directory) Local(domain string) bool { return slices.Contains(d.cfg.Domains, domain) }

// Recipient is directory.Directory's: the entry that has the address as its
// primary or as an alias.
func (d *Directory) Recipient(ctx context.Context, addr rookery.Address) (directory.Entry, error) {
	const op = "look up recipient"
	addr = directory.Base(addr)
	if !d.Local(addr.Domain) {
		return directory.Entry{}, rookery.E(op, rookery.KindNotFound, fmt.Errorf("%s is not a domain of directory %q", addr.Domain, d.cfg.Name))
	}
	f, err := d.lookup(ctx, forRecipients, op, addr.String(), func(p *profile) string { return p.addressFilter(addr) },
		func(f *found) bool { return f.entry.Has(addr) })
	return f.entry, err
}

// Find is directory.Finder's: the entry a login names.
func (d *Directory) Find(ctx context.Context, login string) (directory.Entry, error) {
	const op = "find login"
	l, err := directory.ParseLogin(login)
	if err != nil {
		return directory.Entry{}, rookery.E(op, rookery.KindNotFound, err)
	}
	f, err := d.locate(ctx, op, l)
	return f.entry, err
}

// ByKey gives the entry that directory.Entry's Key names, as it is now: past
// every cache. The errors are Recipient's; a key of another directory is
// KindNotFound.
func (d *Directory) ByKey(ctx context.Context, key string) (directory.Entry, error) {
	const op = "look up entry"
	id, name, _ := strings.Cut(key, "/")
	if id != or(d.cfg.ID, d.cfg.Name) || name == "" {
		return directory.Entry{}, rookery.E(op, rookery.KindNotFound, fmt.Errorf("%.200q is no entry of directory %q", key, d.cfg.Name))
	}
	f, err := d.lookup(ctx, forSignIns, op, key, func(p *profile) string { return p.keyFilter(name) },
		func(f *found) bool { return f.entry.Key == key })
	return f.entry, err
}

func (d *Directory) locate(ctx context.Context, op string, l directory.Login) (found, error) {
	return d.lookup(ctx, forSignIns, op, l.Text, func(p *profile) string { return p.loginFilter(l) },
		func(f *found) bool { return f.answersTo(l) })
}

// Authenticate is directory.Directory's. The entry is searched with the
// service account first; then its own DN is bound with the password on a
// connection kept for binds.
func (d *Directory) Authenticate(ctx context.Context, login, password string) (directory.Entry, error) {
	const op = "sign in"
	fail := func(err error) (directory.Entry, error) { return directory.Entry{}, err }
	if err := directory.CheckPassword(password); err != nil {
		return fail(err)
	}
	l, err := directory.ParseLogin(login)
	if err != nil {
		return fail(err)
	}
	ctx, cancel := d.deadline(ctx)
	defer cancel()
	f, err := d.locate(ctx, op, l)
	if rookery.Is(err, rookery.KindNotFound) {
		return fail(rookery.E(op, rookery.KindCredentials, fmt.Errorf("directory %q knows no such login", d.cfg.Name)))
	}
	if err != nil {
		return fail(err)
	}
	if err := d.checkPassword(ctx, f.dn, password); err != nil {
		return fail(rookery.E(op, rookery.KindOf(err), err))
	}
	// Some servers bind accounts that mail has been told are disabled.
	if f.entry.Disabled {
		return fail(directory.Refuse(op, directory.Refusal{Cause: directory.CauseDisabled, Proven: true, Text: f.why}))
	}
	return f.entry, nil
}

// deadline bounds a whole call, failover included.
func (d *Directory) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d.cfg.Deadline)
}

// lookup searches for exactly one entry that truly is what was asked for:
// servers match more loosely than mail does (Active Directory ignores
// accents), so each hit is checked.
func (d *Directory) lookup(ctx context.Context, of share, op, what string, filter func(*profile) string,
	fits func(*found) bool) (found, error) {
	ctx, cancel := d.deadline(ctx)
	defer cancel()
	var hits []found
	err := d.try(ctx, func(ctx context.Context, s *server) error {
		p := d.profile.Load()
		if p == nil {
			return fmt.Errorf("%s has not told yet what kind of server it is", s.url)
		}
		f := filter(p)
		if f == "" { // nothing in this directory can have the name
			hits = nil
			return nil
		}
		start := d.now()
		res, err := s.search(ctx, of, p.request(d.cfg.Base, f, d.cfg.OperationTimeout))
		d.watchSpeed(s, p, d.now().Sub(start))
		if err != nil {
			return err
		}
		hits, err = d.sift(p, res, fits)
		return err
	})
	switch {
	case err != nil:
		return found{}, rookery.E(op, rookery.KindUnavailable, fmt.Errorf("directory %q cannot say who is %s: %w", d.cfg.Name, what, err))
	case len(hits) == 0:
		return found{}, rookery.E(op, rookery.KindNotFound, fmt.Errorf("directory %q has nobody named %s", d.cfg.Name, what))
	case len(hits) > 1:
		d.logger.Error("two directory entries claim one name: mail and logins for it are deferred until one gives it up",
			"name", what, "dn", hits[0].dn, "other", hits[1].dn)
		return found{}, rookery.E(op, rookery.KindUnavailable,
			fmt.Errorf("%s is claimed by %s and by %s: remove it from one", what, hits[0].dn, hits[1].dn))
	}
	return hits[0], nil
}

// slowSearch is what a look-up never takes when its attributes are indexed.
const slowSearch = 500 * time.Millisecond

// watchSpeed warns, at most once a minute, of look-ups that take long: one
// attribute without an index makes the server read every entry each time.
func (d *Directory) watchSpeed(s *server, p *profile, took time.Duration) {
	if took < slowSearch {
		return
	}
	now := d.now().Unix()
	if last := d.slowSaid.Load(); now-last < 60 || !d.slowSaid.CompareAndSwap(last, now) {
		return
	}
	d.logger.Warn("directory look-ups are slow: index every one of these attributes for equality, or leave unused ones out of the "+
		"attributes setting",
		"server", s.url, "took", took, "attributes", slices.Concat([]string{p.Mail, p.Proxy}, p.Aliases, p.Login, p.Principal))
}

// sift maps and checks the entries of an answer.
func (d *Directory) sift(p *profile, res *goldap.SearchResult, fits func(*found) bool) ([]found, error) {
	var hits []found
	for _, e := range res.Entries {
		f, err := p.entry(or(d.cfg.ID, d.cfg.Name), e, d.now())
		if err != nil {
			return nil, err
		}
		if fits(&f) {
			hits = append(hits, f)
		}
	}
	return hits, nil
}

// Walk gives every entry that has an address, page by page, in no order. It
// stops at fn's error. An entry without a usable key ends the walk: its
// account could not be named.
func (d *Directory) Walk(ctx context.Context, fn func(directory.Entry) error) error {
	const op = "list directory"
	s, err := d.anyServer()
	if err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	p := d.profile.Load()
	if p == nil {
		return rookery.E(op, rookery.KindUnavailable, fmt.Errorf("%s has not told yet what kind of server it is", s.url))
	}
	var stop error
	err = s.pages(ctx, p.listRequest(d.cfg.Base), uint32(d.cfg.PageSize), func(e *goldap.Entry) error {
		f, err := p.entry(or(d.cfg.ID, d.cfg.Name), e, d.now())
		if err != nil || len(f.entry.Addresses) == 0 {
			return err
		}
		stop = fn(f.entry)
		return stop
	})
	if stop != nil {
		return stop
	}
	if err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	return nil
}
