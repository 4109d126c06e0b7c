package directories

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	"rookery/cmd/node/settings"
	"rookery/directory"
	"rookery/directory/ldap"
	"rookery/directory/replica"
)

// Directories are those of the settings in force. It stays the same value
// for the protocols while settings come and go.
type Directories struct {
	dial    func(ctx context.Context, address string) (net.Conn, error)
	logger  *slog.Logger
	observe func(request string, err error, took time.Duration)
	retry   func(id string) bool // nil: yes
	copies  Copies

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
	live    *directory.Set // past the copies
	members []directory.Member
	opened  []*Opened
	users   sync.WaitGroup
}

// Opened is one directory with its connections and what it remembers. It stays
// while its settings stay.
type Opened struct {
	*ldap.Directory
	Cache *directory.Cache
	// Copy answers before Cache does; nil where there are no copies.
	Copy *replica.Copy
	By   ldap.Config // without Dial and Retry
	ca   []byte      // content of by.CAFile
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

func (g *generation) has(d *Opened) bool { return g != nil && slices.Contains(g.opened, d) }

// New has no directory yet; dial connects to their servers, and observe hears of
// every request.
func New(dial func(ctx context.Context, address string) (net.Conn, error), logger *slog.Logger,
	observe func(request string, err error, took time.Duration)) *Directories {
	return &Directories{dial: dial, logger: logger, observe: observe}
}

// RetryWhen sets who says whether this node may try the refused service password
// of the directory with an id again. It is called before Use.
func (p *Directories) RetryWhen(retry func(id string) bool) { p.retry = retry }

// Copies are the copies of directories that the cluster keeps.
type Copies struct {
	// Of is where the copy of the directory with an id lies.
	Of func(id string) replica.State
	// Grace is how long entries that have vanished receive.
	Grace func() time.Duration
	// Fresh reports whether the copy of a directory is about as the directory is now.
	Fresh func(id string) bool
	// Complete reports whether the copy of a directory once was all that it had.
	Complete func(id string) bool
	// Anyway uses the copies of directories too that the settings want none of: tests
	// feed them.
	Anyway bool
	Clock  func() time.Time
}

// CopyWith has directories answer from their copies first. It is called before Use.
func (p *Directories) CopyWith(c Copies) { p.copies = c }

// Changed says what has changed in the copy of a directory: entries by keys, and what
// index strings find. All, or no id, is everything.
func (p *Directories) Changed(id string, keys, index []string, all bool) {
	for _, d := range p.Opened() {
		switch {
		case d.Copy == nil || id != "" && id != d.By.ID:
		case all || id == "":
			d.Copy.Forget()
		default:
			d.Copy.Changed(keys, index)
		}
	}
}

// Use opens the directories of the settings and puts them in the place of the
// former ones, of which those stay that are set as they were. Where one cannot
// be opened the former ones stay.
func (p *Directories) Use(ctx context.Context, s *settings.Cluster) error {
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
		d, err := p.open(ctx, was, Config(name, s))
		if err != nil {
			return fail(err)
		}
		next.opened = append(next.opened, d)
		set := s.Directories[name]
		next.members = append(next.members, directory.Member{Name: name, Directory: d.first(), Prefixes: set.Prefixes, Realms: set.Realms})
	}
	set, err := directory.NewSet(p.logger, next.members...)
	if err != nil {
		return fail(err)
	}
	live := slices.Clone(next.members)
	for i, d := range next.opened {
		live[i].Directory = d.Cache
	}
	if next.live, err = directory.NewSet(p.logger, live...); err != nil {
		return fail(err)
	}
	next.Set = set
	if err := p.swap(next).close(next); err != nil {
		p.logger.Warn("close directory", "error", err)
	}
	return nil
}

// open gives the directory that is open by a configuration already, or opens it.
func (p *Directories) open(ctx context.Context, was *generation, by ldap.Config) (*Opened, error) {
	var ca []byte
	if by.CAFile != "" {
		ca, _ = os.ReadFile(by.CAFile) // ldap.Open says what is wrong with it
	}
	if was != nil {
		for _, d := range was.opened {
			if reflect.DeepEqual(d.By, by) && bytes.Equal(d.ca, ca) {
				return d, nil
			}
		}
	}
	c := by
	c.Dial = p.dial
	if p.retry != nil {
		c.Retry = func() bool { return p.retry(by.ID) }
	}
	d, err := ldap.Open(ctx, c, p.logger)
	if err != nil {
		return nil, err
	}
	o := &Opened{Directory: d, Cache: directory.NewCache(d, directory.CacheOptions{}), By: by, ca: ca}
	if p.copies.Of != nil && (by.Copy > 0 || p.copies.Anyway) {
		o.Copy = replica.New(replica.Options{Name: by.Name, State: p.copies.Of(by.ID), Live: o.Cache, Grace: p.copies.Grace,
			Fresh:    func() bool { return p.copies.Fresh(by.ID) },
			Complete: func() bool { return p.copies.Complete(by.ID) }, Now: p.copies.Clock, Logger: p.logger})
	}
	return o, nil
}

// first is what is asked first.
func (o *Opened) first() directory.Directory {
	if o.Copy != nil {
		return o.Copy
	}
	return o.Cache
}

func (p *Directories) swap(next *generation) (old *generation) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, p.current = p.current, next
	if old != nil {
		for _, d := range old.opened {
			if !next.has(d) {
				hits, misses := d.Cache.Stats()
				p.hits, p.misses = p.hits+hits, p.misses+misses
			}
		}
	}
	return old
}

func (p *Directories) now() *generation {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current
}

// Opened are the directories in use.
func (p *Directories) Opened() []*Opened {
	if g := p.now(); g != nil {
		return g.opened
	}
	return nil
}

// Members are the directories in use as the set of them has them.
func (p *Directories) Members() []directory.Member {
	if g := p.now(); g != nil {
		return g.members
	}
	return nil
}

// Forget drops what is remembered of entries.
func (p *Directories) Forget() {
	if g := p.now(); g != nil {
		g.forget()
	}
}

func (g *generation) forget() {
	for _, d := range g.opened {
		d.Cache.Forget()
		if d.Copy != nil {
			d.Copy.Forget()
		}
	}
}

// Close ends the connections, once nobody asks any more.
func (p *Directories) Close() error { return p.swap(nil).close(nil) }
