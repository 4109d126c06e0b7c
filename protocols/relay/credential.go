package relay

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/protocols/signin"
)

// Credential lets who knows its secret relay, from anywhere.
type Credential struct {
	Name string
	// Hash is that of the secret, as HashSecret gives it.
	Hash    [sha256.Size]byte
	Senders []Sender
	// Rate is how many recipients it may name in an hour on each node; 0 is no
	// bound.
	Rate uint32
}

var credentialName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,31}$`)

// CheckName reports whether a credential can have the name.
func CheckName(name string) error {
	if !credentialName.MatchString(name) {
		return errors.New("the name must be 1 to 32 of a-z, 0-9, dot, - and _")
	}
	return nil
}

// NewSecret makes the secret of a credential: 256 random bits in 52 characters.
func NewSecret() string {
	var b [32]byte
	rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

// HashSecret is what is kept of a secret. It is quick: a secret of 256 random bits
// is not guessed, with a slow hash or without.
func HashSecret(secret string) [sha256.Size]byte { return sha256.Sum256([]byte(secret)) }

// SignIn gives the grant of a credential, within the limits of sign-ins. Errors are
// those of signin.Authenticator.Authenticate.
func (g *Gate) SignIn(ctx context.Context, at signin.Attempt, c signin.Credentials) (*Grant, error) {
	e, err := g.signIns.Authenticate(ctx, at, c)
	if err != nil {
		return nil, err
	}
	x, found, err := g.o.Credential(e.Login)
	if err != nil {
		return nil, rookery.E("sign in", rookery.KindUnavailable, err)
	}
	if !found {
		return nil, rookery.E("sign in", rookery.KindCredentials, errors.New("the credential is gone"))
	}
	return g.grant(&x), nil
}

// SignIns is what limits them, for who counts failures and denies.
func (g *Gate) SignIns() *signin.Authenticator { return g.signIns }

// Renew gives the grant that a credential's grant is now: nil where the credential
// was removed since, or made anew with another secret.
func (g *Gate) Renew(was *Grant) (*Grant, error) {
	if was == nil || was.credential == nil {
		return nil, nil
	}
	x, found, err := g.o.Credential(was.credential.Name)
	if err != nil || !found || x.Hash != was.credential.Hash {
		return nil, err
	}
	return g.grant(&x), nil
}

func (g *Gate) grant(x *Credential) *Grant {
	return &Grant{Name: "credential " + x.Name, senders: x.Senders, credential: x, rates: &g.rates, clock: g.o.Clock}
}

// credentials are a directory of them, so that the limits of sign-ins are the same
// as those of people.
type credentials struct{ gate *Gate }

// Find implements directory.Finder.
func (d credentials) Find(_ context.Context, login string) (directory.Entry, error) {
	x, found, err := d.gate.o.Credential(login)
	switch {
	case err != nil:
		return directory.Entry{}, rookery.E("find relay credential", rookery.KindUnavailable, err)
	case !found:
		return directory.Entry{}, rookery.E("find relay credential", rookery.KindNotFound, errors.New("there is none of that name"))
	}
	return entry(&x), nil
}

// Authenticate implements signin.Directory.
func (d credentials) Authenticate(_ context.Context, login, password string) (directory.Entry, error) {
	x, found, err := d.gate.o.Credential(login)
	if err != nil {
		return directory.Entry{}, rookery.E("sign in", rookery.KindUnavailable, err)
	}
	given := HashSecret(password)
	if same := subtle.ConstantTimeCompare(given[:], x.Hash[:]) == 1; !found || !same {
		return directory.Entry{}, rookery.E("sign in", rookery.KindCredentials, errors.New("the name or the secret is wrong"))
	}
	return entry(&x), nil
}

// entry names a credential with its secret: a new secret makes another one.
func entry(x *Credential) directory.Entry {
	return directory.Entry{Key: fmt.Sprintf("relay/%s/%x", x.Name, x.Hash[:8]), Login: x.Name}
}

// rates are how much of its rate each credential has left on this node.
type rates struct {
	mu   sync.Mutex
	left map[string]allowance
}

type allowance struct {
	recipients float64
	at         time.Time
}

// maxRates bounds the credentials that are counted. Removed ones stay until then.
const maxRates = 20_000

// take takes one recipient from what a credential has left, which fills up to a
// whole hour's.
func (r *rates) take(name string, rate uint32, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	most := float64(rate)
	a, ok := r.left[name]
	if !ok {
		if r.left == nil || len(r.left) >= maxRates {
			r.left = map[string]allowance{}
		}
		a = allowance{most, now}
	}
	a.recipients = min(most, a.recipients+most*max(0, now.Sub(a.at).Hours()))
	a.at = now
	enough := a.recipients >= 1
	if enough {
		a.recipients--
	}
	r.left[name] = a
	return enough
}
