// Package signin is the one way in for SMTP, IMAP and POP3: the SASL exchanges
// PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login) with the base64 lines
// that carry them in SMTP (RFC 4954), POP3 (RFC 5034) and IMAP (RFC 9051 6.2.2);
// the check of a password; and the account behind it, opened here or on the
// node that serves it.
//
// It owns what limits guessing, over all connections and protocols of a node:
// budgets of failures by account and by client network, the delays, and the
// memory of recent verdicts, which spares the directory repeated binds. It
// writes the one log line of a sign-in. It never reads from or writes to a
// client's connection, never words an answer, and never logs a password.
package signin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"rookery"
	"rookery/directory"
	"rookery/protocols/proxy"
)

// Directory checks passwords, as directory.Directory does. One that is a
// directory.Finder too is asked whose name a login is before it is asked for a
// bind: else each name of an account counts by itself.
type Directory interface {
	Authenticate(ctx context.Context, login, password string) (directory.Entry, error)
}

// Accounts gives the account of a directory entry, made at first sight;
// account.Store does.
type Accounts interface {
	Ensure(ctx context.Context, owner rookery.Owner, quota int64) (rookery.AccountID, error)
}

// Options are what an Authenticator is made of.
type Options struct {
	Directory Directory
	// Accounts is required by SignIn.
	Accounts Accounts
	// Nodes hands sessions of accounts that are not served here to nodes that
	// serve them; nil: every account is served here.
	Nodes proxy.Nodes
	// DefaultQuota is the quota in bytes of entries that name none, asked for
	// at each sign-in; 0, or nil, is no limit.
	DefaultQuota func() int64
	// SignedIn hears of each sign-in that succeeds, and must return at once; nil:
	// nobody does.
	SignedIn func(protocol string, e directory.Entry)
	Limits   Limits
	Logger   *slog.Logger
	Clock    func() time.Time
}

// Attempt says who tries to sign in.
type Attempt struct {
	Protocol string // in lower case, as package proxy has them
	Session  string // the connection's name in logs
	Client   netip.AddrPort
	TLS      string // what protects the connection, as proxy.TLSOf gives it
}

// Result is a client that has signed in. What is known already is given with an
// error too.
type Result struct {
	Entry   directory.Entry
	Account rookery.AccountID
	// Onward carries the session to the node that serves the account, and Text
	// is what that node answered; the caller closes it. nil: this node serves
	// the account.
	Onward net.Conn
	Text   string
}

// ErrOverdrawn is in the chain of the KindLimit of a sign-in that was refused
// unseen, because too many before it have failed.
var ErrOverdrawn = errors.New("too many failed sign-ins; try again later")

// Failed reports whether an error of a sign-in counts among the failures that
// end a connection: a wrong password, a disabled account, a budget overdrawn.
// No other is the client's fault.
func Failed(err error) bool {
	return refused(err) || errors.Is(err, ErrOverdrawn)
}

func refused(err error) bool {
	return rookery.Is(err, rookery.KindCredentials) || rookery.Is(err, rookery.KindDisabled)
}

// Authenticator signs clients in. All methods may be called concurrently.
type Authenticator struct {
	o        Options
	limits   Limits
	secret   [32]byte
	flights  singleflight.Group
	verdicts *lru.Cache[string, verdict]
	names    *lru.Cache[string, name]
	known    *lru.Cache[string, time.Time] // networks that an account has signed in from, and until when that counts

	accounts, networks, pairs *ledger
	delays                    *delays

	ending  chan struct{} // closed by EndDelays
	endOnce sync.Once
}

// New makes an Authenticator. It does no I/O.
func New(o Options) *Authenticator {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	l := o.Limits.withDefaults()
	a := &Authenticator{
		o: o, limits: l, secret: newSecret(), ending: make(chan struct{}),
		accounts: newLedger(l.Account, l.Keys), networks: newLedger(l.Network, l.Keys), pairs: newLedger(l.Pair, l.Keys),
		delays: newDelays(l.Delay, l.LongestDelay, l.Keys),
	}
	// lru.New fails for a size below 1 only.
	a.verdicts, _ = lru.New[string, verdict](l.Keys)
	a.names, _ = lru.New[string, name](l.Keys)
	a.known, _ = lru.New[string, time.Time](l.Keys)
	return a
}

// Failures is how many failures end a connection; the protocols count them.
func (a *Authenticator) Failures() int { return a.limits.Failures }

// EndDelays ends all delays, for a server that is about to stop.
func (a *Authenticator) EndDelays() { a.endOnce.Do(func() { close(a.ending) }) }

// Authenticate checks a password, for who needs no mailbox. A failure is given
// after its delay.
//
// Errors: KindCredentials for an unknown name or a wrong password; KindDisabled
// when the account is disabled, locked or expired, of which directory.Told is
// all that the client may hear; KindLimit with ErrOverdrawn;
// KindUnavailable when the directory cannot say.
func (a *Authenticator) Authenticate(ctx context.Context, at Attempt, c Credentials) (directory.Entry, error) {
	began := a.o.Clock()
	e, err := a.authenticate(ctx, at, c)
	return e, a.end(ctx, at, c.User, began, Result{Entry: e}, err)
}

// SignIn checks a password and gives the account behind it, with the session
// handed to another node where this one does not serve it.
//
// Errors: those of Authenticate; KindDisabled and KindLimit are that other
// node's verdict too; whatever else fails behind the right password is
// KindUnavailable or KindUnknown, never a doubt about the password.
func (a *Authenticator) SignIn(ctx context.Context, at Attempt, c Credentials) (Result, error) {
	began := a.o.Clock()
	r, err := a.signIn(ctx, at, c)
	return r, a.end(ctx, at, c.User, began, r, err)
}

// Deny gives KindCredentials, after its delay, for a user whose sign-in is
// refused for a cause other than the password.
func (a *Authenticator) Deny(ctx context.Context, at Attempt, user string, cause error) error {
	return a.end(ctx, at, user, a.o.Clock(), Result{}, rookery.E("sign in", rookery.KindCredentials, cause))
}

func (a *Authenticator) signIn(ctx context.Context, at Attempt, c Credentials) (r Result, err error) {
	if r.Entry, err = a.authenticate(ctx, at, c); err != nil {
		return r, err
	}
	quota := r.Entry.Quota
	if quota == 0 && a.o.DefaultQuota != nil {
		quota = a.o.DefaultQuota()
	}
	id, err := a.o.Accounts.Ensure(ctx, r.Entry.Owner(), quota)
	if err != nil {
		return r, opening(err)
	}
	r.Account = id
	if a.o.Nodes == nil {
		return r, nil
	}
	here, err := a.o.Nodes.Here(ctx, id)
	if err != nil || here {
		return r, opening(err)
	}
	r.Onward, r.Text, err = a.o.Nodes.Open(ctx, session(at, &r))
	return r, opening(err)
}

// session is what goes ahead to the node that serves the account.
func session(at Attempt, r *Result) proxy.Session {
	p := proxy.Session{Protocol: at.Protocol, Account: r.Account, Login: r.Entry.Login, Client: at.Client, TLS: at.TLS}
	if r.Entry.Primary != (rookery.Address{}) {
		p.Address = r.Entry.Primary.String()
	}
	return p
}

// opening keeps errors of the storage from looking like a wrong password or a
// missing mailbox: whatever it is, it is not the user's name.
func opening(err error) error {
	if err == nil {
		return nil
	}
	switch rookery.KindOf(err) {
	case rookery.KindDisabled: // another node knows it meanwhile; the password was right
		return directory.Refuse("open account", directory.Refusal{Cause: directory.CauseDisabled, Proven: true, Text: err.Error()})
	case rookery.KindLimit, rookery.KindUnavailable, rookery.KindUnknown:
		return err
	}
	return rookery.E("open account", rookery.KindUnavailable, err)
}

// end logs a sign-in and delays its answer where it has failed.
func (a *Authenticator) end(ctx context.Context, at Attempt, user string, began time.Time, r Result, err error) error {
	now := a.o.Clock()
	a.log(ctx, at, user, now.Sub(began), &r, err)
	key := rookery.FoldLocal(clip(user)) + "\x00" + network(at.Client)
	switch {
	case err == nil:
		a.delays.forget(key)
		if a.o.SignedIn != nil {
			a.o.SignedIn(at.Protocol, r.Entry)
		}
	case errors.Is(err, ErrOverdrawn):
		a.wait(ctx, max(a.delays.next(key, now), a.delays.most))
	case Failed(err):
		a.wait(ctx, a.delays.next(key, now))
	}
	return err
}

// log writes the one line of a sign-in, the same for every protocol.
func (a *Authenticator) log(ctx context.Context, at Attempt, user string, took time.Duration, r *Result, err error) {
	kind, level := "ok", slog.LevelInfo
	switch {
	case err == nil:
		user = r.Entry.Login
	case Failed(err):
		kind = rookery.KindOf(err).String()
	default:
		kind, level = rookery.KindOf(err).String(), slog.LevelWarn
	}
	fields := []any{"protocol", at.Protocol, "session", at.Session, "client", at.Client.Addr().Unmap().String(),
		"user", clip(user), "kind", kind, "took", took}
	if r.Account != (rookery.AccountID{}) {
		fields = append(fields, "account", r.Account.String(), "here", r.Onward == nil)
	}
	if err != nil {
		fields = append(fields, "error", err)
	}
	a.o.Logger.Log(ctx, level, "sign-in", fields...)
}

func (a *Authenticator) wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-a.ending:
	}
}

// clip bounds a name that a client sent, for logs and keys.
func clip(s string) string {
	if len(s) > directory.MaxLogin {
		return s[:directory.MaxLogin]
	}
	return s
}
