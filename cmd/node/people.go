package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/directory/ldap"
)

// people is the directory of the settings in force. It stays the same value
// for the protocols while settings come and go.
type people struct {
	network Network
	logger  *slog.Logger
	observe func(request string, err error, took time.Duration)

	mu      sync.Mutex
	current *generation
	// hits and misses are of the caches of former generations.
	hits, misses uint64
}

// generation is what the settings of one time have opened. Requests that began
// under it end under it: it is closed after the last of them.
type generation struct {
	directory.Directory
	cache  *directory.Cache
	opened []*ldap.Directory
	users  sync.WaitGroup
}

func (g *generation) close() error {
	if g == nil {
		return nil
	}
	g.users.Wait() // each is bounded by the timeouts of the directory
	var errs []error
	for _, d := range g.opened {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

func newPeople(network Network, logger *slog.Logger, observe func(request string, err error, took time.Duration)) *people {
	return &people{network: network, logger: logger, observe: observe}
}

// use opens the directories of the settings and puts them in the place of the
// former ones. Where they cannot be opened the former ones stay.
func (p *people) use(ctx context.Context, s *Settings) error {
	var members []directory.Member
	var opened []*ldap.Directory
	fail := func(err error) error {
		for _, d := range opened {
			d.Close()
		}
		return err
	}
	for _, name := range s.directoryNames() {
		c := ldapConfig(name, s)
		c.Dial = dialTCP(p.network)
		d, err := ldap.Open(ctx, c, p.logger)
		if err != nil {
			return fail(err)
		}
		opened = append(opened, d)
		set := s.Directories[name]
		members = append(members, directory.Member{Name: name, Directory: d, Prefixes: set.Prefixes, Realms: set.Realms})
	}
	set, err := directory.NewSet(p.logger, members...)
	if err != nil {
		return fail(err)
	}
	cache := directory.NewCache(set, directory.CacheOptions{})
	old := p.swap(&generation{Directory: cache, cache: cache, opened: opened})
	if err := old.close(); err != nil {
		p.logger.Warn("close directory", "error", err)
	}
	return nil
}

func (p *people) swap(next *generation) (old *generation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, p.current = p.current, next
	if old != nil {
		hits, misses := old.cache.Stats()
		p.hits, p.misses = p.hits+hits, p.misses+misses
	}
	return old
}

func ldapConfig(name string, s *Settings) ldap.Config {
	d := s.Directories[name]
	c := ldap.Default()
	c.Name, c.ID, c.URLs, c.Base, c.BindDN, c.Password = name, d.ID, d.URLs, d.Base, d.BindDN, d.Password
	c.Profile, c.StartTLS, c.CAFile, c.Prefixes = d.Profile, d.StartTLS, d.CAFile, d.Prefixes
	c.Attributes.UserFilter = d.UserFilter
	c.Domains = d.Domains
	if len(c.Domains) == 0 {
		c.Domains = s.Domains
	}
	c.Domains = slices.DeleteFunc(slices.Clone(c.Domains), func(x string) bool {
		return !slices.ContainsFunc(s.Domains, func(y string) bool { return strings.EqualFold(x, y) })
	})
	if d.Fingerprint != "" {
		c.Fingerprints = []string{d.Fingerprint}
	}
	if t, err := time.ParseDuration(d.Timeout); err == nil {
		c.OperationTimeout, c.DialTimeout = t, min(t, c.DialTimeout)
	}
	return c
}

// now is what serves a request that begins; the request must call
// users.Done when it ends.
func (p *people) now() (*generation, error) {
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
func (p *people) Recipient(ctx context.Context, addr rookery.Address) (directory.Entry, error) {
	d, err := p.now()
	if err != nil {
		return directory.Entry{}, err
	}
	defer d.users.Done()
	began := time.Now()
	e, err := d.Recipient(ctx, addr)
	p.observe("recipient", err, time.Since(began))
	return e, err
}

// Authenticate is directory.Directory's.
func (p *people) Authenticate(ctx context.Context, login, password string) (directory.Entry, error) {
	d, err := p.now()
	if err != nil {
		return directory.Entry{}, err
	}
	defer d.users.Done()
	began := time.Now()
	e, err := d.Authenticate(ctx, login, password)
	p.observe("sign-in", err, time.Since(began))
	return e, err
}

// Local is directory.Directory's.
func (p *people) Local(domain string) bool {
	d, err := p.now()
	if err != nil {
		return false
	}
	defer d.users.Done()
	return d.Local(domain)
}

func (p *people) close() error { return p.swap(nil).close() }

// trouble gives the last error of each directory of which no server answers.
func (p *people) trouble() map[string]error {
	g, err := p.now()
	if err != nil {
		return map[string]error{"settings": err}
	}
	defer g.users.Done()
	bad := map[string]error{}
	for _, d := range g.opened {
		var last error
		up := false
		for _, h := range d.Health() {
			up = up || h.Err == nil
			last = h.Err
		}
		if !up {
			bad[d.Name()] = last
		}
	}
	return bad
}

// peopleStats are the numbers of the directories.
type peopleStats struct {
	hits, misses uint64
	servers      []serverState
}

type serverState struct {
	directory, url string
	up             bool
}

func (p *people) stats() (s peopleStats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.hits, s.misses = p.hits, p.misses
	if p.current == nil {
		return s
	}
	hits, misses := p.current.cache.Stats()
	s.hits, s.misses = s.hits+hits, s.misses+misses
	for _, d := range p.current.opened {
		for _, h := range d.Health() {
			s.servers = append(s.servers, serverState{d.Name(), h.URL, h.Up})
		}
	}
	return s
}
