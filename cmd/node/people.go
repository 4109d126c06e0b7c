package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/settings"
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
	// hits and misses are of caches that are gone.
	hits, misses uint64
}

// generation is what the settings of one time have opened. Requests that began
// under it end under it: what the next one does not take over is closed after
// the last of them.
type generation struct {
	*directory.Set
	members []directory.Member
	opened  []*opened
	users   sync.WaitGroup
}

// opened is one directory with its connections and what it remembers. It stays
// while its settings stay.
type opened struct {
	*ldap.Directory
	cache *directory.Cache
	by    ldap.Config // without Dial
	ca    []byte      // content of by.CAFile
}

// close ends what next has not taken over.
func (g *generation) close(next *generation) error {
	if g == nil {
		return nil
	}
	g.users.Wait() // each is bounded by the timeouts of the directory
	var errs []error
	for _, d := range g.opened {
		if !next.has(d) {
			errs = append(errs, d.Close())
		}
	}
	return errors.Join(errs...)
}

func (g *generation) has(d *opened) bool { return g != nil && slices.Contains(g.opened, d) }

func newPeople(network Network, logger *slog.Logger, observe func(request string, err error, took time.Duration)) *people {
	return &people{network: network, logger: logger, observe: observe}
}

// use opens the directories of the settings and puts them in the place of the
// former ones, of which those stay that are set as they were. Where one cannot
// be opened the former ones stay.
func (p *people) use(ctx context.Context, s *settings.Cluster) error {
	next := new(generation)
	was := p.now()
	fail := func(err error) error {
		for _, d := range next.opened {
			if !was.has(d) {
				d.Close()
			}
		}
		return err
	}
	for _, name := range s.DirectoryNames() {
		d, err := p.open(ctx, was, ldapConfig(name, s))
		if err != nil {
			return fail(err)
		}
		next.opened = append(next.opened, d)
		set := s.Directories[name]
		next.members = append(next.members, directory.Member{Name: name, Directory: d.cache, Prefixes: set.Prefixes, Realms: set.Realms})
	}
	set, err := directory.NewSet(p.logger, next.members...)
	if err != nil {
		return fail(err)
	}
	next.Set = set
	if err := p.swap(next).close(next); err != nil {
		p.logger.Warn("close directory", "error", err)
	}
	return nil
}

// open gives the directory that is open by a configuration already, or opens it.
func (p *people) open(ctx context.Context, was *generation, by ldap.Config) (*opened, error) {
	var ca []byte
	if by.CAFile != "" {
		ca, _ = os.ReadFile(by.CAFile) // ldap.Open says what is wrong with it
	}
	if was != nil {
		for _, d := range was.opened {
			if reflect.DeepEqual(d.by, by) && bytes.Equal(d.ca, ca) {
				return d, nil
			}
		}
	}
	c := by
	c.Dial = dialTCP(p.network)
	d, err := ldap.Open(ctx, c, p.logger)
	if err != nil {
		return nil, err
	}
	return &opened{d, directory.NewCache(d, directory.CacheOptions{}), by, ca}, nil
}

func (p *people) swap(next *generation) (old *generation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, p.current = p.current, next
	if old != nil {
		for _, d := range old.opened {
			if !next.has(d) {
				hits, misses := d.cache.Stats()
				p.hits, p.misses = p.hits+hits, p.misses+misses
			}
		}
	}
	return old
}

func ldapConfig(name string, s *settings.Cluster) ldap.Config {
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

func (p *people) now() *generation {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current
}

// begin is what serves a request that begins; the request must call
// users.Done when it ends.
func (p *people) begin() (*generation, error) {
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

// ByKey gives an entry by its key, past every cache. KindNotFound: no directory
// of the settings has it.
func (p *people) ByKey(ctx context.Context, key string) (directory.Entry, error) {
	g, err := p.begin()
	if err != nil {
		return directory.Entry{}, err
	}
	defer g.users.Done()
	for _, d := range g.opened {
		if strings.HasPrefix(key, d.by.ID+"/") {
			began := time.Now()
			e, err := d.ByKey(ctx, key)
			p.observe("entry", err, time.Since(began))
			return e, err
		}
	}
	return directory.Entry{}, rookery.E("look up entry", rookery.KindNotFound, fmt.Errorf("%.200q is no entry of a directory in the settings", key))
}

// Named gives the entry that an operator names by an address or a login, past
// every cache.
func (p *people) Named(ctx context.Context, who string) (e directory.Entry, err error) {
	g, err := p.begin()
	if err != nil {
		return e, err
	}
	defer g.users.Done()
	for _, d := range g.opened {
		d.cache.Forget()
	}
	if addr, aerr := rookery.ParseAddress(who); aerr == nil && g.Local(addr.Domain) {
		e, err = g.Recipient(ctx, addr)
	} else {
		e, err = g.Find(ctx, who)
	}
	if err != nil {
		return e, err
	}
	return p.ByKey(ctx, e.Key)
}

// Authenticate is directory.Directory's.
func (p *people) Authenticate(ctx context.Context, login, password string) (directory.Entry, error) {
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
func (p *people) Find(ctx context.Context, login string) (directory.Entry, error) {
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
func (p *people) Local(domain string) bool {
	d, err := p.begin()
	if err != nil {
		return false
	}
	defer d.users.Done()
	return d.Local(domain)
}

func (p *people) close() error { return p.swap(nil).close(nil) }

// trouble gives the last error of each directory of which no server answers.
func (p *people) trouble() map[string]error {
	g, err := p.begin()
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
	for _, d := range p.current.opened {
		hits, misses := d.cache.Stats()
		s.hits, s.misses = s.hits+hits, s.misses+misses
		for _, h := range d.Health() {
			s.servers = append(s.servers, serverState{d.Name(), h.URL, h.Up})
		}
	}
	return s
}
