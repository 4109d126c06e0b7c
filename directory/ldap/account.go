package ldap

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery/directory/ldap/result"
)

// How long the service account rests after its password was refused: it doubles
// each time. Directories lock accounts after a few wrong passwords.
const (
	firstRest = 5 * time.Minute
	mostRest  = time.Hour
)

// serviceAccount keeps the binds of the service account, to all servers, from
// locking it: while its password is not known to be right, one bind runs at a
// time, and after a refusal there is none for long.
type serviceAccount struct {
	turn chan struct{} // held by the bind of a password that nothing is known of

	mu      sync.Mutex
	proven  bool // the last bind was accepted
	refused error
	rest    time.Duration
	until   time.Time
}

func newServiceAccount() *serviceAccount { return &serviceAccount{turn: make(chan struct{}, 1)} }

// bind binds a connection as the service account. retry says whether this is the
// one to try a refused password again.
func (a *serviceAccount) bind(ctx context.Context, now func() time.Time, retry func() bool, bind func() error) error {
	if !a.isProven() {
		select {
		case a.turn <- struct{}{}:
			defer func() { <-a.turn }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := a.resting(now(), retry); err != nil {
		return err
	}
	err := bind()
	a.learn(err, now())
	return err
}

func (a *serviceAccount) isProven() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.proven
}

// errResting is in the chain of what is not tried because it was refused.
var errResting = errors.New("the password was refused")

// resting is why nothing is to be tried now.
func (a *serviceAccount) resting(now time.Time, retry func() bool) error {
	a.mu.Lock()
	err, until := a.refused, a.until
	a.mu.Unlock()
	switch {
	case err == nil:
		return nil
	case now.Before(until):
		return fmt.Errorf("%w: %w; so that the account is not locked it is tried again at %s, and at once when another is set",
			errResting, err, until.UTC().Format("15:04 MST"))
	case !retry():
		return fmt.Errorf("%w: %w; another node tries it first", errResting, err)
	}
	return nil
}

// learn remembers what a server said of the password.
func (a *serviceAccount) learn(err error, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, answered := result.Code(err)
	switch {
	case err == nil:
		a.proven, a.refused, a.rest = true, nil, 0
	case answered && c == goldap.LDAPResultInvalidCredentials:
		a.rest = min(max(firstRest, 2*a.rest), mostRest)
		a.proven, a.refused, a.until = false, err, now.Add(a.rest)
	}
}

// Refused reports that the service account's password was refused, and the
// account rests.
func (d *Directory) Refused() bool {
	d.account.mu.Lock()
	defer d.account.mu.Unlock()
	return d.account.refused != nil
}
