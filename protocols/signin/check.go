package signin

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/netip"
	"time"

	"rookery"
	"rookery/directory"
)

// verdict is what the directory said of a login with a password, kept under an
// HMAC of both, whose key lives and dies with the process. So no password is
// kept, and how long a comparison takes tells nothing about one.
type verdict struct {
	entry   directory.Entry
	err     error // nil, KindCredentials or KindDisabled
	expires time.Time
	stands  time.Duration // how long it stood
}

// right reports that the password is known to be right though the directory
// judges it no more: a lock-out keeps it from saying so.
func (v *verdict) right(now time.Time) bool {
	if v.err != nil {
		return directory.Told(v.err) == directory.CauseLocked
	}
	return now.Before(v.expires)
}

// name is whose a login is.
type name struct {
	account string
	expires time.Time
}

// nameStands is how long it is believed whose a login is. It decides only which
// account a failure counts for.
const nameStands = 10 * time.Minute

// wrongDoubles is how many times longer a verdict that is repeated may stand.
const wrongDoubles = 16

// try is one password that is to be checked.
type try struct {
	login    directory.Login
	password string
	key      string // of its verdict
	network  string
	known    bool // the account has signed in from this network
}

func newSecret() (s [32]byte) {
	rand.Read(s[:])
	return s
}

func (a *Authenticator) try(login directory.Login, password string, client netip.AddrPort) try {
	mac := hmac.New(sha256.New, a.secret[:])
	mac.Write([]byte(login.Key()))
	mac.Write([]byte{0}) // neither part can hold a NUL
	mac.Write([]byte(password))
	t := try{login: login, password: password, key: string(mac.Sum(nil)), network: network(client)}
	until, ok := a.known.Get(t.from())
	t.known = ok && a.o.Clock().Before(until)
	return t
}

// from names the login and the network together.
func (t *try) from() string { return t.login.Key() + "\x00" + t.network }

// authenticate checks a password. Equal tries at one time share one check.
func (a *Authenticator) authenticate(ctx context.Context, at Attempt, c Credentials) (directory.Entry, error) {
	login, err := directory.ParseLogin(c.User)
	if err == nil {
		err = directory.CheckPassword(c.Password)
	}
	if err != nil {
		return directory.Entry{}, err
	}
	t := a.try(login, c.Password, at.Client)
	if !t.known && a.networks.overdrawn(t.network, a.o.Clock()) {
		return directory.Entry{}, overdrawn()
	}
	flight := t.key
	if t.known {
		flight += "known" // it may be asked where others may not
	}
	shared := a.flights.DoChan(flight, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.limits.Check)
		defer cancel()
		return a.check(ctx, &t)
	})
	select {
	case r := <-shared:
		e, _ := r.Val.(directory.Entry)
		if r.Err == nil {
			a.known.Add(t.from(), a.o.Clock().Add(a.limits.Known))
		}
		return e, r.Err
	case <-ctx.Done():
		return directory.Entry{}, rookery.E("sign in", rookery.KindUnavailable, ctx.Err())
	}
}

func overdrawn() error { return rookery.E("sign in", rookery.KindLimit, ErrOverdrawn) }

// check gives a verdict that stands, else asks the directory for one.
func (a *Authenticator) check(ctx context.Context, t *try) (directory.Entry, error) {
	last, ok := a.verdicts.Get(t.key)
	if ok && a.o.Clock().Before(last.expires) {
		if last.err != nil {
			return directory.Entry{}, last.err
		}
		if e, settled, err := a.confirm(ctx, last.entry, t.login.Text); settled {
			return e, err
		}
	}
	account, err := a.account(ctx, t.login)
	if err != nil {
		if refused(err) {
			a.refuse(t, "", last, err)
		}
		return directory.Entry{}, err
	}
	return a.bind(ctx, t, account, last)
}

// confirm looks whether a login whose password was proven a moment ago still
// names the same account in good standing: a search, not a bind. settled is
// false when only a bind can tell.
func (a *Authenticator) confirm(ctx context.Context, proven directory.Entry, login string) (e directory.Entry, settled bool, err error) {
	f, ok := a.o.Directory.(directory.Finder)
	if !ok {
		return directory.Entry{}, false, nil
	}
	e, err = f.Find(ctx, login)
	switch {
	case err == nil && e.Disabled:
		return directory.Entry{}, true, disabled()
	case err == nil && e.Key == proven.Key && !e.Locked:
		return e, true, nil
	case rookery.Is(err, rookery.KindUnavailable):
		// The directory is away: the proof is young enough to stand by itself.
		return proven, true, nil
	}
	return directory.Entry{}, false, nil
}

// disabled is said of an account after its password was right.
func disabled() error {
	return directory.Refuse("sign in", directory.Refusal{Cause: directory.CauseDisabled, Proven: true, Text: "the account is disabled"})
}

// account says whose failures those of a login are.
func (a *Authenticator) account(ctx context.Context, login directory.Login) (string, error) {
	f, ok := a.o.Directory.(directory.Finder)
	if !ok {
		return login.Key(), nil
	}
	if n, ok := a.names.Get(login.Key()); ok && a.o.Clock().Before(n.expires) {
		return n.account, nil
	}
	e, err := f.Find(ctx, login.Text)
	switch {
	case rookery.Is(err, rookery.KindNotFound):
		return "", rookery.E("sign in", rookery.KindCredentials, errors.New("no directory knows the login"))
	case err != nil:
		return "", rookery.E("sign in", rookery.KindUnavailable, err)
	}
	a.names.Add(login.Key(), name{e.Key, a.o.Clock().Add(nameStands)})
	return e.Key, nil
}

// bind has the directory check the password, within the budgets.
func (a *Authenticator) bind(ctx context.Context, t *try, account string, last verdict) (directory.Entry, error) {
	now := a.o.Clock()
	right := last.right(now)
	reserve := a.limits.Reserve
	if t.known {
		reserve = 0
	}
	if !t.known && a.pairs.overdrawn(account+"\x00"+t.network, now) || !a.accounts.take(account, reserve, now) {
		if last.err == nil {
			a.networks.charge(t.network, now)
		}
		return directory.Entry{}, overdrawn()
	}
	e, err := a.o.Directory.Authenticate(ctx, t.login.Text, t.password)
	if err == nil && e.Disabled {
		err = disabled()
	}
	switch now = a.o.Clock(); {
	case err == nil:
		a.accounts.giveBack(account, now)
		a.verdicts.Add(t.key, verdict{entry: e, expires: now.Add(a.limits.Right)})
		return e, nil
	case refused(err):
		if right {
			err = directory.Prove(err)
		}
		a.refuse(t, account, last, err)
		return directory.Entry{}, err
	}
	a.accounts.giveBack(account, now)
	return directory.Entry{}, rookery.E("sign in", rookery.KindUnavailable, err)
}

// refuse remembers a password that the directory refuses. Only a password that
// was not refused before counts against the network: a telephone that repeats
// an old one must not shut out an office.
func (a *Authenticator) refuse(t *try, account string, last verdict, err error) {
	now := a.o.Clock()
	if last.err == nil {
		a.networks.charge(t.network, now)
		if account != "" {
			a.pairs.charge(account+"\x00"+t.network, now)
		}
	}
	stands, most := a.limits.Wrong, a.limits.Wrong*wrongDoubles
	if rookery.Is(err, rookery.KindDisabled) {
		stands, most = a.limits.Disabled, a.limits.Wrong
	}
	if last.err != nil {
		stands = min(max(stands, 2*last.stands), most)
	}
	a.verdicts.Add(t.key, verdict{err: err, expires: now.Add(stands), stands: stands})
}
