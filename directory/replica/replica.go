// Package replica answers from a copy of a directory, so that mail for known people
// is taken while the directory itself is away, and none of it waits for LDAP.
//
// It owns how an entry is written in the copy, what is found by an address, a login
// or a name, how long who has vanished still receives, and who is behind a list. It
// never writes the copy and never says "no such user" by it: whom the copy does not
// have, the directory is asked for. Passwords are the directory's to check.
package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"rookery"
	"rookery/directory"
)

// State is where the copy of one directory lies.
type State interface {
	// Found are the entries with an index string (Coded.Index), present and
	// vanished, at most so many, in the order of keys.
	Found(index string, most int) ([]Row, error)
	// ByKey is the entry with a key; found is false where there is none.
	ByKey(key string) (row Row, found bool, err error)
}

// Row is an entry of the copy.
type Row struct {
	Key   string
	Value []byte
	// Disabled holds whatever the value says.
	Disabled bool
	// Vanished is when the directory had it no more; zero: it is there.
	Vanished time.Time
}

// Options are of a Copy.
type Options struct {
	// Name is the directory's, for errors.
	Name  string
	State State
	// Live is the directory itself. It is asked for what the copy does not have,
	// and bounds by itself how often.
	Live directory.Directory
	// Grace is how long an entry receives that has vanished; nil: for ever.
	Grace func() time.Duration
	// Fresh reports whether the copy is believed over the directory where it says that
	// somebody is disabled; nil: always.
	Fresh func() bool
	// Complete reports whether the copy once was all that the directory had; nil: no.
	Complete func() bool
	// Size is how many answers are remembered, decoded; default 50,000, of about 1 KiB
	// each.
	Size   int
	Logger *slog.Logger
	Now    func() time.Time
}

// Copy is a directory.Directory that answers from the copy first.
type Copy struct {
	o Options
	memory
}

var (
	_ directory.Directory = (*Copy)(nil)
	_ directory.Finder    = (*Copy)(nil)
	_ directory.Lister    = (*Copy)(nil)
)

// New makes one.
func New(o Options) *Copy {
	if o.Size <= 0 {
		o.Size = 50_000
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Copy{o: o, memory: newMemory(o.Size)}
}

// ErrConflict is in the chain of the KindUnavailable of what two entries claim.
var ErrConflict = errors.New("two entries of the directory claim it; mail and logins for it are deferred until one gives it up")

// Local is the directory's.
func (c *Copy) Local(domain string) bool { return c.o.Live.Local(domain) }

// Prefixes are the DOMAIN names that the directory has learnt.
func (c *Copy) Prefixes() []string {
	if p, ok := c.o.Live.(interface{ Prefixes() []string }); ok {
		return p.Prefixes()
	}
	return nil
}

// Recipient is directory.Directory's. Whom the copy has is found whether or not the
// directory answers; KindNotFound is the directory's word alone.
func (c *Copy) Recipient(ctx context.Context, addr rookery.Address) (directory.Entry, error) {
	addr = directory.Base(addr)
	if !c.Local(addr.Domain) {
		return c.o.Live.Recipient(ctx, addr)
	}
	r, err := c.one("look up recipient", byAddress, addr.Key(), true)
	if r == nil && err == nil || r != nil && r.List != nil {
		e, err := c.o.Live.Recipient(ctx, addr)
		return e, c.doubt(r, err)
	}
	return entryOf(r), err
}

// Find is directory.Finder's.
func (c *Copy) Find(ctx context.Context, login string) (directory.Entry, error) {
	l, err := directory.ParseLogin(login)
	if err != nil {
		return directory.Entry{}, rookery.E("find login", rookery.KindNotFound, err)
	}
	r, err := c.one("find login", byLogin, l.Key(), false)
	if r == nil && err == nil || r != nil && r.List != nil {
		if f, ok := c.o.Live.(directory.Finder); ok {
			e, err := f.Find(ctx, login)
			return e, c.doubt(r, err)
		}
		return directory.Entry{}, rookery.E("find login", rookery.KindUnavailable,
			fmt.Errorf("directory %q cannot look up a login without its password", c.o.Name))
	}
	return entryOf(r), err
}

// doubt marks the error of a directory that cannot say about a name that its copy does
// not have; list is what has it there.
func (c *Copy) doubt(list *record, err error) error {
	if list != nil || !rookery.Is(err, rookery.KindUnavailable) || c.o.Complete == nil || !c.o.Complete() {
		return err
	}
	return rookery.E("ask directory", rookery.KindUnavailable, fmt.Errorf("%w: %w", directory.ErrNotInCopy, err))
}

// Authenticate is the directory's. Who the copy knows as disabled does not sign in,
// though a server that is behind lets them.
func (c *Copy) Authenticate(ctx context.Context, login, password string) (directory.Entry, error) {
	e, err := c.o.Live.Authenticate(ctx, login, password)
	if err != nil {
		return e, err
	}
	if r, kerr := c.byKey(e.Key); kerr == nil && r != nil && r.Vanished.IsZero() && r.Disabled && c.fresh() {
		why := r.DisabledWhy
		if why == "" {
			why = "the directory has disabled the account"
		}
		return directory.Entry{}, directory.Refuse("sign in", directory.Refusal{Cause: directory.CauseDisabled, Proven: true, Text: why})
	}
	return e, nil
}

// ByKey is the entry with a key as the copy has it, vanished ones too while they
// receive. KindNotFound: the copy has none.
func (c *Copy) ByKey(key string) (directory.Entry, error) {
	r, err := c.byKey(key)
	if err == nil && (r == nil || !c.receives(r)) {
		err = rookery.E("look up entry", rookery.KindNotFound, fmt.Errorf("the copy of directory %q has no entry %.200q", c.o.Name, key))
	}
	if err != nil {
		return directory.Entry{}, err
	}
	return r.Entry, nil
}

// Standing says of entries, by their keys, how they stand by the copy. Of those that
// it does not have it says nothing, and while it is not fresh of none.
func (c *Copy) Standing(keys []string) map[string]directory.Standing {
	how := map[string]directory.Standing{}
	if !c.fresh() {
		return how
	}
	for _, k := range keys {
		switch r, err := c.byKey(k); {
		case err != nil || r == nil:
		case !r.Vanished.IsZero():
			how[k] = directory.Gone
		case r.Disabled:
			how[k] = directory.Disabled
		default:
			how[k] = directory.Present
		}
	}
	return how
}

func (c *Copy) fresh() bool { return c.o.Fresh == nil || c.o.Fresh() }

func entryOf(r *record) directory.Entry {
	if r == nil {
		return directory.Entry{}
	}
	return r.Entry
}

func (c *Copy) receives(r *record) bool {
	return r.Vanished.IsZero() || c.o.Grace == nil || c.o.Now().Before(r.Vanished.Add(c.o.Grace()))
}

// one is the entry that a name finds, nil where the copy has none. A present one is
// found before those that have vanished; of these, where they count, the one that
// had the name last. An entry that cannot be read is as one that is not there.
func (c *Copy) one(op, by, name string, vanished bool) (*record, error) {
	all, err := c.found(index(by, name))
	if err != nil {
		return nil, err
	}
	var hit, last *record
	for _, r := range all {
		switch {
		case !r.Vanished.IsZero():
			if vanished && c.receives(r) && (last == nil || last.Vanished.Before(r.Vanished)) {
				last = r
			}
		case hit != nil:
			return nil, rookery.E(op, rookery.KindUnavailable, fmt.Errorf("%s, in directory %q: %s and %s: %w",
				strings.TrimSuffix(name, "@"), c.o.Name, nameOf(hit), nameOf(r), ErrConflict))
		default:
			hit = r
		}
	}
	if hit == nil {
		hit = last
	}
	return hit, nil
}

func nameOf(r *record) string {
	if r.DN != "" {
		return r.DN
	}
	return r.Key
}
