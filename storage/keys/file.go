package keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"rookery"
	"rookery/internal/durable"
)

// keyFile is the keyring's file: JSON, so that an operator can see which
// versions a recovery kit holds.
type keyFile struct {
	Format  int       `json:"format"`
	Current uint32    `json:"current"`
	Keys    []fileKey `json:"keys"`
}

type fileKey struct {
	Version uint32 `json:"version"`
	Key     []byte `json:"key"` // base64
}

// LoadKeyring reads a keyring's file. KindNotFound if there is none,
// KindDenied if others than its owner may read it, KindDamaged if it is not a
// whole keyring.
func LoadKeyring(path string) (*Keyring, error) {
	for {
		k, replaced, err := loadKeyring(path)
		if err == nil || !replaced {
			return k, err
		}
	}
}

// loadKeyring reads the file once. It may be replaced meanwhile, and then Save
// overwrites the one that is being read: what came of that says nothing.
func loadKeyring(path string) (k *Keyring, replaced bool, err error) {
	const op = "load keyring"
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, rookery.E(op, rookery.KindNotFound, err)
	}
	if err != nil {
		return nil, false, rookery.E(op, rookery.KindUnavailable, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, false, rookery.E(op, rookery.KindUnavailable, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, false, rookery.E(op, rookery.KindDenied,
			fmt.Errorf("%s can be read by others (mode %04o): chmod 600 it", path, info.Mode().Perm()))
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxKeyring))
	if err != nil {
		return nil, false, rookery.E(op, rookery.KindUnavailable, err)
	}
	defer clear(data)
	k, err = ParseKeyring(data, path)
	if now, serr := os.Stat(path); err != nil && serr == nil {
		replaced = !os.SameFile(info, now)
	}
	return k, replaced, err
}

// MaxKeyring bounds an encoded keyring in bytes.
const MaxKeyring = 1 << 20

// ParseKeyring reads what Encode wrote; from names its source in errors.
// KindDamaged: it is not a whole keyring.
func ParseKeyring(data []byte, from string) (*Keyring, error) {
	var kf keyFile
	if err := json.Unmarshal(data, &kf); err != nil {
		// The decoder's text may quote the file, which is secret.
		return nil, rookery.E("load keyring", rookery.KindDamaged, fmt.Errorf("%s is not a keyring: restore it from the recovery kit", from))
	}
	return kf.keyring(from)
}

func (kf keyFile) keyring(path string) (*Keyring, error) {
	damaged := func(why string) (*Keyring, error) {
		return nil, rookery.E("load keyring", rookery.KindDamaged, fmt.Errorf("%s %s: restore it from the recovery kit", path, why))
	}
	if kf.Format != 1 {
		return damaged(fmt.Sprintf("has format %d, not 1", kf.Format))
	}
	k := &Keyring{keys: make(map[uint32]*[32]byte, len(kf.Keys)), current: kf.Current}
	for _, fk := range kf.Keys {
		if len(fk.Key) != 32 || fk.Version == 0 {
			return damaged(fmt.Sprintf("has a bad key of version %d", fk.Version))
		}
		if _, twice := k.keys[fk.Version]; twice {
			return damaged(fmt.Sprintf("has version %d twice", fk.Version))
		}
		key := [32]byte(fk.Key)
		clear(fk.Key)
		k.keys[fk.Version] = &key
	}
	if _, ok := k.keys[k.current]; !ok {
		return damaged(fmt.Sprintf("lacks its current version %d", k.current))
	}
	return k, nil
}

// Encode is the keyring as its file holds it: secret. The caller clears it.
func (k *Keyring) Encode() ([]byte, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	kf := keyFile{Format: 1, Current: k.current}
	for _, v := range slices.Sorted(maps.Keys(k.keys)) {
		kf.Keys = append(kf.Keys, fileKey{Version: v, Key: k.keys[v][:]})
	}
	data, err := json.MarshalIndent(kf, "", "  ")
	if err != nil {
		return nil, rookery.E("encode keyring", rookery.KindInvalid, err)
	}
	return append(data, '\n'), nil
}

// Save writes the keyring to a file of mode 0600, atomically and durably: a
// crash leaves the old file or the new one. The old file is overwritten before
// it is let go, as far as file system and disk do that.
func (k *Keyring) Save(path string) error {
	data, err := k.Encode()
	if err != nil {
		return err
	}
	defer clear(data)
	return SaveKeyFile(path, data)
}

// SaveKeyFile is Save for a keyring that was encoded, and perhaps sealed.
func SaveKeyFile(path string, data []byte) error {
	const op = "save keyring"
	old, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	if err := durable.WriteFile(path, data, 0o600); err != nil {
		if old != nil {
			old.Close()
		}
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	if err := errors.Join(shred(old), ClearKeyFile(path)); err != nil {
		return rookery.E(op, rookery.KindUnavailable, fmt.Errorf("the new keyring is saved, the old one may still be on the disk: %w", err))
	}
	return nil
}

// ClearKeyFile removes what a crash in the middle of a Save left beside the
// file: it may hold keys that are destroyed meanwhile.
func ClearKeyFile(path string) error {
	left, err := durable.Unfinished(path)
	for _, name := range left {
		f, ferr := os.OpenFile(name, os.O_RDWR, 0)
		if ferr == nil {
			ferr = shred(f)
		}
		err = errors.Join(err, ferr, os.Remove(name))
	}
	if err == nil && len(left) > 0 {
		err = durable.SyncDir(filepath.Dir(path))
	}
	return err
}

// shred overwrites a file and closes it.
func shred(f *os.File) error {
	if f == nil {
		return nil
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.WriteAt(make([]byte, info.Size()), 0)
	}
	return errors.Join(err, f.Sync(), f.Close())
}
