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
)

// Directories are those of the settings in force. It stays the same value
// for the protocols while settings come and go.
type Directories struct {
	dial    func(ctx context.Context, address string) (net.Conn, error)
	logger  *slog.Logger
	observe func(request string, err error, took time.Duration)
	retry   func(id string) bool // nil: yes

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
	opened  []*Opened
	users   sync.WaitGroup
}

// Opened is one directory with its connections and what it remembers. It stays
// while its settings stay.
type Opened struct {
	*ldap.Directory
	Cache *directory.Cache
	By    ldap.Config // without Dial and Retry
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
		next.members = append(next.members, directory.Member{Name: name, Directory: d.Cache, Prefixes: set.Prefixes, Realms: set.Realms})
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
	return &Opened{d, directory.NewCache(d, directory.CacheOptions{}), by, ca}, nil
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
	}
}

// Close ends the connections, once nobody asks any more.
func (p *Directories) Close() error { return p.swap(nil).close(nil) }
