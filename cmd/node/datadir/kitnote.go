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
	// Files is a digest of the key files as they went into the kit.
	Files []byte `json:"files"`
}

// noteKit leaves the note, for the node that runs or starts next.
func (d Dir) noteKit(k *Kit) error {
	err := d.writeJSON(kitFile, KitNote{Made: k.Made.Unix(), Files: digest(k.TenantKeys, k.SettingsKey, []byte(k.AuthorityKey))})
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
	var files [3][]byte
	for i, name := range []string{tenantKeys, settingsKeys, authorityKey} {
		b, err := os.ReadFile(d.path(name))
		if err != nil {
			return false
		}
		defer clear(b)
		files[i] = b
	}
	return bytes.Equal(n.Files, digest(files[:]...))
}

func digest(files ...[]byte) []byte {
	h := sha256.New()
	for _, b := range files {
		sum := sha256.Sum256(b)
		h.Write(sum[:])
	}
	return h.Sum(nil)
}
