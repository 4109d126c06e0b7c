package body

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"rookery"
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
	const op = "load keyring"
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, rookery.E(op, rookery.KindNotFound, err)
	}
	if err != nil {
		return nil, rookery.E(op, rookery.KindUnavailable, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, rookery.E(op, rookery.KindUnavailable, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, rookery.E(op, rookery.KindDenied,
			fmt.Errorf("%s can be read by others (mode %04o): chmod 600 it", path, info.Mode().Perm()))
	}
	var kf keyFile
	if err := json.NewDecoder(f).Decode(&kf); err != nil {
		// The decoder's text may quote the file, which is secret.
		return nil, rookery.E(op, rookery.KindDamaged, fmt.Errorf("%s is not a keyring: restore it from the recovery kit", path))
	}
	return kf.keyring(path)
}

func (kf keyFile) keyring(path string) (*Keyring, error) {
	damaged := func(why string) (*Keyring, error) {
		return nil, rookery.E("load keyring", rookery.KindDamaged, fmt.Errorf("%s %s: restore it from the recovery kit", path, why))
	}
	if kf.Format != 1 {
		return damaged(fmt.Sprintf("has format %d, not 1", kf.Format))
	}
	k := &Keyring{keys: make(map[uint32][32]byte, len(kf.Keys)), current: kf.Current}
	for _, fk := range kf.Keys {
		if len(fk.Key) != 32 || fk.Version == 0 || fk.Version > kf.Current {
			return damaged(fmt.Sprintf("has a bad key of version %d", fk.Version))
		}
		if _, twice := k.keys[fk.Version]; twice {
			return damaged(fmt.Sprintf("has version %d twice", fk.Version))
		}
		k.keys[fk.Version] = [32]byte(fk.Key)
	}
	if _, ok := k.keys[k.current]; !ok {
		return damaged(fmt.Sprintf("lacks its current version %d", k.current))
	}
	return k, nil
}

// Save writes the keyring to a file of mode 0600, atomically and durably: a
// crash leaves the old file or the new one.
func (k *Keyring) Save(path string) error {
	const op = "save keyring"
	kf := keyFile{Format: 1, Current: k.Current()}
	for _, v := range k.Versions() {
		if key, ok := k.key(v); ok {
			kf.Keys = append(kf.Keys, fileKey{Version: v, Key: key[:]})
		}
	}
	data, err := json.MarshalIndent(kf, "", "  ")
	if err != nil {
		return rookery.E(op, rookery.KindInvalid, err)
	}
	if err := writeFileAtomic(path, append(data, '\n')); err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	return nil
}

func writeFileAtomic(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*.new") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name()) // gone already if the rename was done
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
