package datadir

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"

	"rookery"
)

// KitNote says that a recovery kit was written of what the directory holds, and
// when, in unix seconds.
type KitNote struct {
	Made int64 `json:"made"`
	// Files is a digest of the key files as they were then.
	Files []byte `json:"files"`
	// Public is the public half of the kit's pair, and Alone says that the kit has
	// nothing but the private one.
	Public []byte `json:"public"`
	Alone  bool   `json:"alone,omitempty"`
}

// noteKit leaves the note, for the node that runs or starts next.
func (d Dir) noteKit(k *Kit, public []byte, withKeys bool) error {
	files := digest(k.TenantKeys, k.SettingsKey, []byte(k.AuthorityKey))
	err := d.writeJSON(kitFile, KitNote{Made: k.Made.Unix(), Files: files, Public: public, Alone: !withKeys})
	if err != nil {
		return rookery.E("note recovery kit", rookery.KindUnavailable, err)
	}
	return nil
}

// KitNote reads the note of the last kit that was written of this directory; the
// zero KitNote where none was, or where it cannot be read.
func (d Dir) KitNote() (n KitNote) {
	b, err := os.ReadFile(d.path(kitFile))
	if err != nil || json.Unmarshal(b, &n) != nil {
		return KitNote{}
	}
	return n
}

// Matches reports whether the directory's key files are those that went into
// the kit.
func (d Dir) Matches(n KitNote) bool {
	files, err := d.KeyDigest()
	return err == nil && bytes.Equal(n.Files, files)
}

// KeyDigest is a digest of the directory's key files.
func (d Dir) KeyDigest() ([]byte, error) {
	var files [3][]byte
	for i, name := range []string{tenantKeys, settingsKeys, authorityKey} {
		b, err := os.ReadFile(d.path(name))
		if err != nil {
			return nil, rookery.E("read cluster keys", rookery.KindUnavailable, err)
		}
		defer clear(b)
		files[i] = b
	}
	return digest(files[:]...), nil
}

func digest(files ...[]byte) []byte {
	h := sha256.New()
	for _, b := range files {
		sum := sha256.Sum256(b)
		h.Write(sum[:])
	}
	return h.Sum(nil)
}
