package keys

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"

	"rookery"
)

// TenantKey is one version of the tenant's key on its way from node to node.
// Printing it shows its version only.
type TenantKey struct {
	Version uint32
	secret  [32]byte
}

// NewTenantKey makes a random key.
func NewTenantKey(version uint32) TenantKey {
	k := TenantKey{Version: version}
	rand.Read(k.secret[:]) // never fails: crypto/rand ends the process instead
	return k
}

// ParseTenantKey is the inverse of Secret. KindInvalid: it is no key.
func ParseTenantKey(version uint32, secret []byte) (TenantKey, error) {
	if version == 0 || len(secret) != 32 {
		return TenantKey{}, rookery.E("read tenant key", rookery.KindInvalid, errors.New("a tenant key has a version and 32 bytes"))
	}
	return TenantKey{version, [32]byte(secret)}, nil
}

// Secret is the key itself, for an encrypted way and no other.
func (k *TenantKey) Secret() []byte { return k.secret[:] }

// Clear overwrites the key in memory.
func (k *TenantKey) Clear() { clear(k.secret[:]) }

// Format shows the version, whatever the verb.
func (k TenantKey) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "tenant key %d", k.Version) }

// LogValue shows the version.
func (k TenantKey) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(k)) }

// MarshalText shows the version to encoders of text and JSON.
func (k TenantKey) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%v", k), nil }

// Fingerprint names a tenant key without telling it: a keyed digest under the
// key itself, cut to 128 bits.
type Fingerprint [16]byte

func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// Fingerprint is the key's.
func (k *TenantKey) Fingerprint() (f Fingerprint) {
	d := derive(k.secret[:], fmt.Sprintf("rookery tenant key fingerprint %d", k.Version))
	copy(f[:], d[:])
	return f
}

// Tenant gives a version's key, to pass it on.
func (k *Keyring) Tenant(version uint32) (TenantKey, bool) {
	secret, ok := k.key(version)
	return TenantKey{version, secret}, ok
}

// Fingerprints are those of all keys in the ring.
func (k *Keyring) Fingerprints() map[uint32]Fingerprint {
	all := map[uint32]Fingerprint{}
	for _, v := range k.Versions() {
		if t, ok := k.Tenant(v); ok {
			all[v] = t.Fingerprint()
			t.Clear()
		}
	}
	return all
}

// Add takes a key in, without using it. It is idempotent; another key under
// the same version is KindConflict.
func (k *Keyring) Add(t TenantKey) error {
	if t.Version == 0 {
		return rookery.E("add tenant key", rookery.KindInvalid, errors.New("the key has no version"))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if have := k.keys[t.Version]; have != nil {
		if !hmac.Equal(have[:], t.secret[:]) {
			return rookery.E("add tenant key", rookery.KindConflict, fmt.Errorf("the keyring has another key as version %d", t.Version))
		}
		return nil
	}
	if k.keys == nil {
		k.keys = make(map[uint32]*[32]byte)
	}
	secret := t.secret
	k.keys[t.Version] = &secret
	return nil
}

// Use makes a version the current one. It never goes back: a lower version
// changes nothing. KindNotFound: it is not in the ring.
func (k *Keyring) Use(version uint32) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys[version] == nil {
		return rookery.E("use tenant key", rookery.KindNotFound, fmt.Errorf("the keyring has no version %d", version))
	}
	k.current = max(k.current, version)
	return nil
}

// Clone is a ring of its own with the same keys.
func (k *Keyring) Clone() *Keyring {
	k.mu.RLock()
	defer k.mu.RUnlock()
	c := &Keyring{keys: make(map[uint32]*[32]byte, len(k.keys)), current: k.current}
	for v, key := range k.keys {
		secret := *key
		c.keys[v] = &secret
	}
	return c
}

// Clear overwrites all keys of the ring in memory and forgets them.
func (k *Keyring) Clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range k.keys {
		clear(key[:])
	}
	clear(k.keys)
}
