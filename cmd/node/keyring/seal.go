package keyring

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"rookery"
	"rookery/cmd/node/replicas"
	"rookery/storage/keys"
)

// Sealer keeps the secrets of the settings closed in the log, the state and
// backups: AES-256-GCM under the version in use of a key of their own, the
// settings key, whose ring lies beside the tenant's.
type Sealer struct {
	keys *keys.Keyring
	// fetch tries to bring versions that are not in the ring.
	fetch func()
}

// NewSealer seals with a ring's versions, and brings none that is not in it.
func NewSealer(ring *keys.Keyring) *Sealer { return &Sealer{keys: ring} }

// Sealer seals with the settings ring, and fetches what that lacks with calls
// that end with ctx.
func (r *Rings) Sealer(ctx context.Context) *Sealer {
	return &Sealer{keys: r.Settings.Keys, fetch: func() {
		ctx, cancel := context.WithTimeout(ctx, replicas.AskWait)
		defer cancel()
		if err := r.Settings.Sync(ctx); err != nil {
			r.Settings.logger.Warn("a settings key is missing here and cannot be fetched", "error", err)
		}
	}}
}

// sealedPrefix is followed by the version of the key, a colon and the secret.
const sealedPrefix = "sealed:"

// Seal closes a secret; the key binds it to its place.
func (s *Sealer) Seal(place, secret string) (string, error) {
	version := s.keys.Current()
	aead, err := s.aead(place, version)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	return fmt.Sprintf("%s%d:%s", sealedPrefix, version,
		base64.RawStdEncoding.EncodeToString(aead.Seal(nonce, nonce, []byte(secret), []byte(place)))), nil
}

// Open opens what Seal closed for the same place.
func (s *Sealer) Open(place, sealed string) (string, error) {
	version, text := sealedUnder(sealed)
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil || version == 0 {
		return "", rookery.E("open secret", rookery.KindDamaged, fmt.Errorf("%s is not a sealed secret; set it again", place))
	}
	if _, here := s.keys.Tenant(version); !here && s.fetch != nil {
		s.fetch()
	}
	aead, err := s.aead(place, version)
	if err != nil {
		return "", err
	}
	n := aead.NonceSize()
	if len(b) < n {
		return "", rookery.E("open secret", rookery.KindDamaged, fmt.Errorf("%s is cut short; set it again", place))
	}
	clear, err := aead.Open(nil, b[:n], b[n:], []byte(place))
	if err != nil {
		return "", rookery.E("open secret", rookery.KindDamaged, fmt.Errorf("%s was sealed under another key; set it again", place))
	}
	return string(clear), nil
}

// IsSealed reports whether a value is a sealed secret.
func IsSealed(value string) bool { return strings.HasPrefix(value, sealedPrefix) }

// IsCurrent reports whether a secret is sealed under the version in use here,
// or a later one.
func (s *Sealer) IsCurrent(sealed string) bool {
	under, _ := sealedUnder(sealed)
	return under >= s.keys.Current()
}

// sealedUnder is the version of the key that a secret is sealed under, and what
// follows; 0 for what is no sealed secret.
func sealedUnder(sealed string) (version uint32, text string) {
	rest, ok := strings.CutPrefix(sealed, sealedPrefix)
	number, text, found := strings.Cut(rest, ":")
	v, err := strconv.ParseUint(number, 10, 32)
	if !ok || !found || err != nil {
		return 0, ""
	}
	return uint32(v), text
}

func (s *Sealer) aead(place string, version uint32) (cipher.AEAD, error) {
	k, ok := s.keys.Tenant(version)
	if !ok {
		return nil, rookery.E("open secret", rookery.KindUnavailable, fmt.Errorf(
			"%s is sealed under version %d of the settings key, which is not in keys/settings.key: start another node, or bring the file "+
				"back from a recovery kit that has it (rookery key restore)", place, version))
	}
	defer k.Clear()
	block, err := aes.NewCipher(k.Secret())
	if err != nil {
		return nil, rookery.E("open secret", rookery.KindDamaged, err)
	}
	return cipher.NewGCM(block)
}
