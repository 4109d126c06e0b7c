package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
	"time"

	"rookery"
)

// Token lets one node join a cluster once. Its text is
//
//	v1.<cluster id>.<sha256 of the authority's certificate>.<id>.<secret>
//
// and is as secret as what it opens; only Text gives it.
type Token struct {
	Cluster   string
	Authority [32]byte // fingerprint, by which the joiner knows the cluster
	ID        string   // by which the cluster finds the invitation
	secret    [32]byte
}

// MintToken makes a token. The authority must be the one that issued the
// certificates of the nodes that will be asked (Identity.Issuer).
func MintToken(cluster string, authority [32]byte) Token {
	t := Token{Cluster: cluster, Authority: authority}
	var id [8]byte
	rand.Read(id[:])
	t.ID = hex.EncodeToString(id[:])
	rand.Read(t.secret[:])
	return t
}

const maxToken = 256

// ParseToken reads a token's text. The error never repeats any of it.
func ParseToken(s string) (Token, error) {
	bad := rookery.E("read join token", rookery.KindInvalid, errors.New("it is not a join token: copy it whole, from v1. to its end"))
	f := strings.Split(strings.TrimSpace(s), ".")
	if len(s) > maxToken || len(f) != 5 || f[0] != "v1" || !clusterForm.MatchString(f[1]) || len(f[3]) != 16 {
		return Token{}, bad
	}
	t := Token{Cluster: f[1], ID: f[3]}
	authority, err1 := hex.DecodeString(f[2])
	_, err2 := hex.DecodeString(t.ID)
	secret, err3 := base64.RawURLEncoding.Strict().DecodeString(f[4])
	if errors.Join(err1, err2, err3) != nil || copy(t.Authority[:], authority) != len(authority) || len(authority) != 32 ||
		len(secret) != 32 || copy(t.secret[:], secret) != 32 {
		return Token{}, bad
	}
	if t.Text() != strings.TrimSpace(s) {
		return Token{}, bad // upper case digits: one token, one text
	}
	return t, nil
}

// Text is the token in full.
func (t Token) Text() string {
	return t.String()[:len(t.String())-len(hidden)] + base64.RawURLEncoding.EncodeToString(t.secret[:])
}

const hidden = "(hidden)"

// String is the token without its secret.
func (t Token) String() string {
	return strings.Join([]string{"v1", t.Cluster, hex.EncodeToString(t.Authority[:]), t.ID, hidden}, ".")
}

// LogValue keeps the secret out of logs.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Hash is what the cluster keeps of the token.
func (t Token) Hash() [32]byte {
	return sha256.Sum256(append([]byte("rookery join token\x00"+t.Cluster+"\x00"+t.ID+"\x00"), t.secret[:]...))
}

// Invitation is what the cluster keeps of a token. Where it is kept, and
// that using it up is one atomic step, is the caller's.
type Invitation struct {
	ID      string
	Hash    [32]byte
	Expires time.Time
	// UsedBy and UsedKey are the node that joined by it and its KeyHash;
	// UsedBy is empty until then.
	UsedBy  rookery.NodeID
	UsedKey [32]byte
}

// Admits is whether the token may be used now by a node with that key. A
// used one admits the same node with the same key again, so that a joiner
// whose answer was lost can ask once more. Every refusal is the same
// KindCredentials.
func (i Invitation) Admits(t Token, node rookery.NodeID, key [32]byte, now time.Time) error {
	ok := i.Invites(t, now)
	if ok && i.UsedBy != "" {
		ok = i.UsedBy == node && subtle.ConstantTimeCompare(key[:], i.UsedKey[:]) == 1
	}
	if !ok {
		return ErrRefused
	}
	return nil
}

// Verify checks the certificates of a node that admits others: it is of the
// token's cluster, by the token's authority, which is among them.
func (t Token) Verify(certs []*x509.Certificate, now time.Time) error {
	for _, cert := range certs {
		if sha256.Sum256(cert.Raw) != t.Authority {
			continue
		}
		id := &Identity{Cluster: t.Cluster, pool: x509.NewCertPool()}
		id.pool.AddCert(cert)
		if other, _, err := NodeOf(certs[0]); err == nil && other != id.Cluster {
			return ErrOtherCluster
		}
		_, _, err := id.Verify(certs, now, x509.ExtKeyUsageServerAuth)
		return err
	}
	return ErrOtherCluster
}

// Pins checks that an identity is of the token's authority.
func (t Token) Pins(id *Identity) error {
	for _, root := range id.roots {
		if sha256.Sum256(root.Raw) == t.Authority {
			return nil
		}
	}
	return ErrOtherCluster
}

// ErrOtherCluster is that a node is not of the token's cluster.
var ErrOtherCluster = errors.New("it does not belong to the cluster that the token is of: mint a token on this cluster, or name " +
	"a node of the other")

// ErrRefused is all that a joiner hears about its token.
var ErrRefused = rookery.E("join", rookery.KindCredentials, errors.New("the token is wrong, used or expired; mint another one"))

// Invites reports whether a token is the invitation's and still valid, used or
// not: whoever brings it is no stranger.
func (i Invitation) Invites(t Token, now time.Time) bool {
	hash := t.Hash()
	return subtle.ConstantTimeCompare(hash[:], i.Hash[:]) == 1 && t.ID == i.ID && now.Before(i.Expires)
}
