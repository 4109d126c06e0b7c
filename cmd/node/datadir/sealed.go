package datadir

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"rookery"
	"rookery/cluster/transport/identity"
	"rookery/storage/keys"
)

// The files of the CA key and of the settings keyring are sealed under a
// version of the tenant key: who gets them without the tenant keyring, which a
// KMS may keep, has nothing, and they go with it when a version is destroyed.
//
// sealedFile is such a file. Its key is derived from the version's and the
// file's name.
type sealedFile struct {
	Format int    `json:"format"` // 3
	Under  uint32 `json:"tenant_key"`
	Sealed []byte `json:"sealed"`
}

const sealedFormat = 3

func (f *sealedFile) aead(ring *keys.Keyring, name string) (cipher.AEAD, error) {
	k, ok := ring.Tenant(f.Under)
	if !ok {
		return nil, rookery.E("open key file", rookery.KindUnavailable,
			fmt.Errorf("%s is sealed under version %d of the tenant key, which is not here: start another node first, or bring both back "+
				"from one recovery kit", name, f.Under))
	}
	defer k.Clear()
	key, err := hkdf.Key(sha256.New, k.Secret(), nil, "rookery key file "+name, 32)
	if err != nil {
		return nil, rookery.E("open key file", rookery.KindInvalid, err)
	}
	defer clear(key)
	return keyGCM(key)
}

// aad binds what is sealed to its file and version.
func (f *sealedFile) aad(name string) []byte {
	return fmt.Appendf(nil, "rookery sealed file %d %s", f.Under, name)
}

// seal closes what the file of that name holds under the version in use.
func seal(ring *keys.Keyring, name string, plain []byte) ([]byte, error) {
	f := sealedFile{Format: sealedFormat, Under: ring.Current()}
	aead, err := f.aead(ring, name)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	rand.Read(nonce)
	f.Sealed = aead.Seal(nonce, nonce, plain, f.aad(name))
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, rookery.E("seal key file", rookery.KindInvalid, err)
	}
	return append(b, '\n'), nil
}

// unseal opens what seal closed, and gives what is in the clear as it is.
// KindUnavailable: the ring lacks the version that it is sealed under.
func unseal(ring *keys.Keyring, name string, b []byte) ([]byte, error) {
	f, sealed := parseSealed(b)
	if !sealed {
		return b, nil
	}
	aead, err := f.aead(ring, name)
	if err != nil {
		return nil, err
	}
	damaged := rookery.E("open key file", rookery.KindDamaged,
		fmt.Errorf("%s does not open with version %d of the tenant key: bring it back from the recovery kit", name, f.Under))
	n := aead.NonceSize()
	if len(f.Sealed) < n {
		return nil, damaged
	}
	plain, err := aead.Open(nil, f.Sealed[:n], f.Sealed[n:], f.aad(name))
	if err != nil {
		return nil, damaged
	}
	return plain, nil
}

func parseSealed(b []byte) (f sealedFile, sealed bool) {
	err := json.Unmarshal(b, &f)
	return f, err == nil && f.Format == sealedFormat
}

// open reads a file that is sealed under the tenant keys of ring.
func (d Dir) open(ring *keys.Keyring, name string) ([]byte, error) {
	b, err := os.ReadFile(d.path(name))
	if err != nil {
		return nil, rookery.E("read cluster keys", rookery.KindUnavailable, err)
	}
	return unseal(ring, name, b)
}

// SealedUnder is the oldest version of the tenant key that a key file is sealed
// under: 0 where one lies in the clear. A file that is missing needs none.
func (d Dir) SealedUnder() (oldest uint32, err error) {
	oldest = ^uint32(0)
	for _, name := range []string{authorityKey, settingsKeys} {
		under, there, err := sealedUnder(d.path(name))
		if err != nil {
			return 0, err
		}
		if there {
			oldest = min(oldest, under)
		}
	}
	return oldest, nil
}

func sealedUnder(path string) (version uint32, there bool, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, rookery.E("read cluster keys", rookery.KindUnavailable, err)
	}
	f, _ := parseSealed(b)
	clear(b)
	return f.Under, true, nil
}

// SealAnew saves a ring that lies under the tenant's anew, where its file is
// sealed under another version than the one in use, or in the clear.
func (s KeySource) SealAnew(ctx context.Context, k *keys.Keyring) error {
	under, there, err := sealedUnder(s.path)
	if err != nil || !there || under == s.under.Current() || len(k.Versions()) == 0 {
		return err
	}
	return s.Save(ctx, k)
}

// loadSealed is Load of a keyring that lies under the tenant's. Another process
// may replace the file meanwhile, and overwrites the one that is read then.
func (s KeySource) loadSealed() (k *keys.Keyring, err error) {
	for range 3 {
		if k, err = s.loadSealedOnce(); !rookery.Is(err, rookery.KindDamaged) {
			break
		}
	}
	return k, err
}

func (s KeySource) loadSealedOnce() (*keys.Keyring, error) {
	b, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, rookery.E("load keyring", rookery.KindNotFound, err)
	}
	if err != nil {
		return nil, rookery.E("load keyring", rookery.KindUnavailable, err)
	}
	defer clear(b)
	plain, err := unseal(s.under, s.name, b)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return parseRing(s.name, plain, s.path)
}

// parseRing reads what a key file holds. That of the CA's key is the key alone,
// its only version, until the key is changed for the first time.
func parseRing(name string, plain []byte, from string) (*keys.Keyring, error) {
	if name != authorityKey || !bytes.HasPrefix(plain, []byte("-----BEGIN")) {
		return keys.ParseKeyring(plain, from)
	}
	secret, err := identity.SecretOf(plain)
	if err != nil {
		return nil, rookery.E("load keyring", rookery.KindDamaged, fmt.Errorf("%s: %w", from, err))
	}
	defer clear(secret)
	key, err := keys.ParseTenantKey(1, secret)
	if err != nil {
		return nil, err
	}
	defer key.Clear()
	ring := new(keys.Keyring)
	if err := ring.Add(key); err != nil {
		return nil, err
	}
	return ring, ring.Use(1)
}

func (s KeySource) saveSealed(k *keys.Keyring) error {
	plain, err := k.Encode()
	if err != nil {
		return err
	}
	defer clear(plain)
	b, err := seal(s.under, s.name, plain)
	if err != nil {
		return err
	}
	return keys.SaveKeyFile(s.path, b)
}
