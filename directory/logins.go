package directory

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"
	"rookery"
)

// LoginOptions bound a Logins. Zero values mean the defaults.
type LoginOptions struct {
	TTL         time.Duration // how long a proven password needs no new bind; 5 min
	NegativeTTL time.Duration // how long a wrong password is refused unasked; 2 min
	Size        int           // most passwords remembered, of either kind; 20,000
	Timeout     time.Duration // for one shared check, whoever waits for it; 20 s
	Now         func() time.Time
}

func (o LoginOptions) withDefaults() LoginOptions {
	if o.TTL <= 0 {
		o.TTL = 5 * time.Minute
	}
	if o.NegativeTTL <= 0 {
		o.NegativeTTL = 2 * time.Minute
	}
	if o.Size <= 0 {
		o.Size = 20_000
	}
	if o.Timeout <= 0 {
		o.Timeout = 20 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Logins is a Directory that spares the source repeated binds: a password
// proven a moment ago is not proven again, and one refused a moment ago is
// refused unasked, so that a forgotten telephone with an old password costs
// one failure instead of a locked account. Concurrent checks of one login
// and password share one bind.
//
// A proven password still asks the source who the login is (a search, not a
// bind), so an account that was disabled, locked or removed does not get in.
// Passwords are remembered only as HMACs under a key that lives and dies with
// the process.
type Logins struct {
	inner   Directory
	opts    LoginOptions
	secret  [32]byte
	checks  *lru.Cache[string, check]
	flights singleflight.Group
}

type check struct {
	entry   Entry
	err     error // nil or KindCredentials
	expires time.Time
}

// NewLogins puts a login cache in front of a directory.
func NewLogins(inner Directory, opts LoginOptions) *Logins {
	opts = opts.withDefaults()
	checks, _ := lru.New[string, check](opts.Size) // fails for a size below 1 only
	l := &Logins{inner: inner, opts: opts, checks: checks}
	rand.Read(l.secret[:])
	return l
}

// Authenticate is Directory.Authenticate, with fewer binds.
func (c *Logins) Authenticate(ctx context.Context, login, password string) (Entry, error) {
	if err := CheckPassword(password); err != nil {
		return Entry{}, err
	}
	l, err := ParseLogin(login)
	if err != nil {
		return Entry{}, err
	}
	key := c.key(l, password)
	flight := c.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.opts.Timeout)
		defer cancel()
		return c.authenticate(ctx, key, l.Text, password)
	})
	select {
	case r := <-flight:
		e, _ := r.Val.(Entry)
		return e, r.Err
	case <-ctx.Done():
		return Entry{}, rookery.E("sign in", rookery.KindUnavailable, ctx.Err())
	}
}

func (c *Logins) authenticate(ctx context.Context, key, login, password string) (Entry, error) {
	known, ok := c.checks.Get(key)
	if ok && c.opts.Now().Before(known.expires) {
		if known.err != nil {
			return Entry{}, known.err
		}
		if e, settled, err := c.confirm(ctx, known.entry, login); settled {
			return e, err
		}
	}
	e, err := c.inner.Authenticate(ctx, login, password)
	now := c.opts.Now()
	switch {
	case err == nil:
		c.checks.Add(key, check{entry: e, expires: now.Add(c.opts.TTL)})
	case rookery.Is(err, rookery.KindCredentials):
		c.checks.Add(key, check{err: err, expires: now.Add(c.opts.NegativeTTL)})
	default:
		if !rookery.Is(err, rookery.KindUnavailable) {
			c.checks.Remove(key)
		}
	}
	return e, err
}

// confirm looks whether the login still names the same account in good
// standing. settled is false when only a bind can tell.
func (c *Logins) confirm(ctx context.Context, known Entry, login string) (e Entry, settled bool, err error) {
	f, ok := c.inner.(Finder)
	if !ok {
		return Entry{}, false, nil
	}
	e, err = f.Find(ctx, login)
	switch {
	case err == nil && e.Disabled:
		return Entry{}, true, rookery.E("sign in", rookery.KindDisabled, errors.New("the account is disabled"))
	case err == nil && e.Key == known.Key && !e.Locked:
		return e, true, nil
	case rookery.Is(err, rookery.KindUnavailable):
		// The source is away: the proof is young enough to stand by itself.
		return known, true, nil
	}
	return Entry{}, false, nil
}

func (c *Logins) key(l Login, password string) string {
	mac := hmac.New(sha256.New, c.secret[:])
	mac.Write([]byte(l.Key()))
	mac.Write([]byte{0}) // neither part can hold a NUL
	mac.Write([]byte(password))
	return string(mac.Sum(nil))
}

// Recipient is the inner directory's.
func (c *Logins) Recipient(ctx context.Context, addr rookery.Address) (Entry, error) {
	return c.inner.Recipient(ctx, addr)
}

// Find is the inner directory's where it is a Finder, else KindUnavailable.
func (c *Logins) Find(ctx context.Context, login string) (Entry, error) {
	return find(ctx, c.inner, login)
}

// Local is the inner directory's.
func (c *Logins) Local(domain string) bool { return c.inner.Local(domain) }

// Prefixes are the inner directory's, where it has learnt any.
func (c *Logins) Prefixes() []string { return prefixes(c.inner) }

// Forget drops every remembered password.
func (c *Logins) Forget() { c.checks.Purge() }
