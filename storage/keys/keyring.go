package keys

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"

	"rookery"
)

// Keyring holds the tenant's keys by version. The newest wraps new account
// keys; the others still open old ones. It is safe for concurrent use, and no
// way of printing it shows a key.
type Keyring struct {
	mu      sync.RWMutex
	keys    map[uint32]*[32]byte
	current uint32
}

// GenerateKeyring makes a keyring with one random key, version 1.
func GenerateKeyring() *Keyring {
	k := &Keyring{keys: make(map[uint32]*[32]byte)}
	k.Rotate()
	return k
}

// Rotate adds a random key and makes it the current one; it returns its
// version. A cluster does it in two steps, so that every node has the key
// before one uses it: NewTenantKey and Add, then Use.
func (k *Keyring) Rotate() uint32 {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.current++
	key := NewTenantKey(k.current)
	k.keys[k.current] = &key.secret
	return k.current
}

// Destroy forgets the key of a version, and overwrites it in memory. Account
// keys still wrapped by it are lost for ever once every saved copy of the ring
// has lost it too. The current version is refused with KindDenied.
func (k *Keyring) Destroy(version uint32) error {
	const op = "destroy tenant key"
	k.mu.Lock()
	defer k.mu.Unlock()
	if version == k.current {
		return rookery.E(op, rookery.KindDenied, fmt.Errorf("version %d is the current one: rotate first", version))
	}
	key, ok := k.keys[version]
	if !ok {
		return rookery.E(op, rookery.KindNotFound, fmt.Errorf("the keyring has no version %d", version))
	}
	clear(key[:])
	delete(k.keys, version)
	return nil
}

// Current is the version that wraps new account keys.
func (k *Keyring) Current() uint32 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.current
}

// Versions are the versions in the ring, rising.
func (k *Keyring) Versions() []uint32 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	vs := make([]uint32, 0, len(k.keys))
	for v := range k.keys {
		vs = append(vs, v)
	}
	slices.Sort(vs)
	return vs
}

func (k *Keyring) key(version uint32) (key [32]byte, ok bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if p := k.keys[version]; p != nil {
		return *p, true
	}
	return key, false
}

// wrapFormat is the first byte of every wrapped key.
const wrapFormat = 1

func accountAAD(account rookery.AccountID, version uint32) []byte {
	aad := append([]byte("rookery account key\x00"), account[:]...)
	return binary.BigEndian.AppendUint32(aad, version)
}

// NewAccountKey makes an account's random key, and its form wrapped by the
// current tenant key, which alone may be stored.
func (k *Keyring) NewAccountKey(account rookery.AccountID) (*AccountKey, []byte, error) {
	var key [32]byte
	rand.Read(key[:])
	defer clear(key[:])
	wrapped, err := k.wrap(accountKey(account), key[:])
	if err != nil {
		return nil, nil, err
	}
	return newAccountKey(key[:]), wrapped, nil
}

// wrappable is a key that the tenant's wraps: its name in errors, and what binds
// the wrap to it.
type wrappable struct {
	name string
	aad  func(version uint32) []byte
}

func accountKey(id rookery.AccountID) wrappable {
	return wrappable{"account " + id.String(), func(version uint32) []byte { return accountAAD(id, version) }}
}

// wrap seals a key under the tenant key in use.
func (k *Keyring) wrap(of wrappable, key []byte) ([]byte, error) {
	version := k.Current()
	tenant, ok := k.key(version)
	if !ok {
		return nil, rookery.E("wrap key", rookery.KindUnavailable, errors.New("the keyring is empty: generate or load it first"))
	}
	defer clear(tenant[:])
	out := append(make([]byte, 0, 80), wrapFormat)
	out = binary.AppendUvarint(out, uint64(version))
	return SealRandom(newGCM(tenant), out, key, of.aad(version)), nil
}

// WrappedUnder is the tenant key version that wraps an account's or a day's key;
// 0 for what is no wrapped key.
func WrappedUnder(wrapped []byte) uint32 {
	version, _ := wrapVersion(wrapped)
	return version
}

// wrapVersion reads the head of a wrapped key and its length.
func wrapVersion(wrapped []byte) (version uint32, head int) {
	if len(wrapped) == 0 || wrapped[0] != wrapFormat {
		return 0, 0
	}
	v, n := binary.Uvarint(wrapped[1:])
	if n <= 0 || v > 1<<32-1 {
		return 0, 0
	}
	return uint32(v), 1 + n
}

// unwrap opens a key. The caller clears it.
func (k *Keyring) unwrap(of wrappable, wrapped []byte) ([]byte, error) {
	const op = "open wrapped key"
	version, head := wrapVersion(wrapped)
	if head == 0 {
		return nil, rookery.E(op, rookery.KindDamaged, errors.New("the wrapped key is not of a known format"))
	}
	tenant, ok := k.key(version)
	if !ok {
		return nil, rookery.E(op, rookery.KindUnavailable,
			fmt.Errorf("tenant key version %d is not in the keyring: restore it, unless it was destroyed on purpose", version))
	}
	defer clear(tenant[:])
	plain, ok := OpenRandom(newGCM(tenant), nil, wrapped[head:], of.aad(version))
	if !ok || len(plain) != 32 {
		return nil, rookery.E(op, rookery.KindDamaged,
			fmt.Errorf("the key of %s does not open with tenant key version %d", of.name, version))
	}
	return plain, nil
}

// OpenAccount unwraps an account's key. KindUnavailable when its tenant key is
// not in this ring (the account does exist), KindDamaged when it does not open.
func (k *Keyring) OpenAccount(account rookery.AccountID, wrapped []byte) (*AccountKey, error) {
	plain, err := k.unwrap(accountKey(account), wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return newAccountKey(plain), nil
}

// Rewrap wraps an account's key anew, under the current tenant key.
func (k *Keyring) Rewrap(account rookery.AccountID, wrapped []byte) ([]byte, error) {
	return k.rewrap(accountKey(account), wrapped)
}

func (k *Keyring) rewrap(of wrappable, wrapped []byte) ([]byte, error) {
	key, err := k.unwrap(of, wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return k.wrap(of, key)
}

// String names the versions, never the keys.
func (k *Keyring) String() string {
	return fmt.Sprintf("keyring%v, current %d", k.Versions(), k.Current())
}

// Format is String, whatever the verb: %d would print the keys.
func (k *Keyring) Format(s fmt.State, _ rune) { io.WriteString(s, k.String()) }

// LogValue is String, for slog.
func (k *Keyring) LogValue() slog.Value { return slog.StringValue(k.String()) }
