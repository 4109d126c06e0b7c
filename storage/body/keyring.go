package body

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
	keys    map[uint32][32]byte
	current uint32
}

// GenerateKeyring makes a keyring with one random key, version 1.
func GenerateKeyring() *Keyring {
	k := &Keyring{keys: make(map[uint32][32]byte)}
	k.Rotate()
	return k
}

// Rotate adds a random key and makes it the current one; it returns its version.
func (k *Keyring) Rotate() uint32 {
	var key [32]byte
	rand.Read(key[:]) // never fails: crypto/rand ends the process instead
	k.mu.Lock()
	defer k.mu.Unlock()
	k.current++
	k.keys[k.current] = key
	return k.current
}

// Destroy forgets the key of a version. Account keys still wrapped by it are
// lost for ever once every saved copy of the ring has lost it too. The current
// version is refused with KindDenied.
func (k *Keyring) Destroy(version uint32) error {
	const op = "destroy tenant key"
	k.mu.Lock()
	defer k.mu.Unlock()
	if version == k.current {
		return rookery.E(op, rookery.KindDenied, fmt.Errorf("version %d is the current one: rotate first", version))
	}
	if _, ok := k.keys[version]; !ok {
		return rookery.E(op, rookery.KindNotFound, fmt.Errorf("the keyring has no version %d", version))
	}
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

func (k *Keyring) key(version uint32) ([32]byte, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	key, ok := k.keys[version]
	return key, ok
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
	wrapped, err := k.wrap(account, key)
	if err != nil {
		return nil, nil, err
	}
	return newAccountKey(key), wrapped, nil
}

func (k *Keyring) wrap(account rookery.AccountID, key [32]byte) ([]byte, error) {
	version := k.Current()
	tenant, ok := k.key(version)
	if !ok {
		return nil, rookery.E("wrap account key", rookery.KindUnavailable, errors.New("the keyring is empty: generate or load it first"))
	}
	out := append(make([]byte, 0, 80), wrapFormat)
	out = binary.AppendUvarint(out, uint64(version))
	return sealRandom(newGCM(tenant), out, key[:], accountAAD(account, version)), nil
}

func (k *Keyring) unwrap(account rookery.AccountID, wrapped []byte) (key [32]byte, err error) {
	const op = "open account key"
	if len(wrapped) == 0 || wrapped[0] != wrapFormat {
		return key, rookery.E(op, rookery.KindDamaged, errors.New("the wrapped key is not of a known format"))
	}
	version, n := binary.Uvarint(wrapped[1:])
	if n <= 0 || version > 1<<32-1 {
		return key, rookery.E(op, rookery.KindDamaged, errors.New("the wrapped key has no tenant key version"))
	}
	tenant, ok := k.key(uint32(version))
	if !ok {
		return key, rookery.E(op, rookery.KindUnavailable,
			fmt.Errorf("tenant key version %d is not in the keyring: restore it, unless it was destroyed on purpose", version))
	}
	plain, ok := openRandom(newGCM(tenant), wrapped[1+n:], accountAAD(account, uint32(version)))
	if !ok || len(plain) != len(key) {
		return key, rookery.E(op, rookery.KindDamaged,
			fmt.Errorf("the key of account %s does not open with tenant key version %d", account, version))
	}
	copy(key[:], plain)
	return key, nil
}

// OpenAccount unwraps an account's key. KindUnavailable when its tenant key is
// not in this ring (the account does exist), KindDamaged when it does not open.
func (k *Keyring) OpenAccount(account rookery.AccountID, wrapped []byte) (*AccountKey, error) {
	key, err := k.unwrap(account, wrapped)
	if err != nil {
		return nil, err
	}
	return newAccountKey(key), nil
}

// Rewrap wraps an account's key anew, under the current tenant key.
func (k *Keyring) Rewrap(account rookery.AccountID, wrapped []byte) ([]byte, error) {
	key, err := k.unwrap(account, wrapped)
	if err != nil {
		return nil, err
	}
	return k.wrap(account, key)
}

// String names the versions, never the keys.
func (k *Keyring) String() string {
	return fmt.Sprintf("keyring%v, current %d", k.Versions(), k.Current())
}

// Format is String, whatever the verb: %d would print the keys.
func (k *Keyring) Format(s fmt.State, _ rune) { io.WriteString(s, k.String()) }

// LogValue is String, for slog.
func (k *Keyring) LogValue() slog.Value { return slog.StringValue(k.String()) }
