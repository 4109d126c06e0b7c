package inforce

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/internal/durable"
)

// keptDir holds, below the data directory, the last settings that this node
// could use: their document, as sealed as in the system group, and copies of
// the files it names. Settings that cannot be used, and a file that went away,
// keep no node from starting.
const (
	keptDir      = "settings"
	keptDocument = "last.json"
)

// kept is the content of keptDocument. Files are names in keptDir by the path
// in the settings.
type kept struct {
	Version  uint64            `json:"version"`
	Document string            `json:"document"`
	Files    map[string]string `json:"files"`
}

// Keep keeps the stored settings where they are in force, for a start with worse ones. A
// failure is logged: it matters only to a later start with worse settings.
func (s *Settings) Keep(version uint64) {
	if version == 0 || s.Trouble() != "" {
		return
	}
	if err := s.keep(version); err != nil {
		s.o.Logger.Warn("the settings could not be kept for a start with worse ones; free space or mend the data directory",
			"version", version, "error", err)
	}
}

func (s *Settings) keep(version uint64) error {
	stored, doc, err := s.system.Settings()
	if err != nil || stored != version { // a newer version is followed next
		return err
	}
	dir := filepath.Join(s.o.DataDir, keptDir)
	k := kept{Version: version, Document: string(doc), Files: map[string]string{}}
	set, err := settings.Parse(doc)
	if err == nil {
		err = durable.MakeDir(dir)
	}
	if err == nil {
		err = set.EachFile(func(_ string, path *string) error { return k.copy(dir, *path) })
	}
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(k, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, keptDocument)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b) {
		return nil
	}
	if err := durable.WriteFile(path, b, 0o600); err != nil {
		return err
	}
	return k.clear(dir)
}

// copy puts a copy of a file into dir, named by its content.
func (k *kept) copy(dir, path string) error {
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	name := hex.EncodeToString(sum[:16]) + ".pem"
	k.Files[path] = name
	if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
		return nil
	}
	return durable.WriteFile(filepath.Join(dir, name), b, 0o600)
}

// clear removes the copies that former settings needed.
func (k *kept) clear(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.pem"))
	used := map[string]bool{}
	for _, name := range k.Files {
		used[name] = true
	}
	for _, path := range names {
		if !used[filepath.Base(path)] {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

// Last are the last that this node could use, with the files as they
// were then.
func (s *Settings) Last() (set settings.Cluster, version uint64, err error) {
	const op = "read kept settings"
	dir := filepath.Join(s.o.DataDir, keptDir)
	var k kept
	b, err := os.ReadFile(filepath.Join(dir, keptDocument))
	if err != nil {
		return set, 0, rookery.E(op, rookery.KindNotFound, err)
	}
	if err := json.Unmarshal(b, &k); err != nil {
		return set, 0, rookery.E(op, rookery.KindDamaged, err)
	}
	if set, err = s.open([]byte(k.Document)); err != nil {
		return set, 0, err
	}
	err = set.EachFile(func(_ string, path *string) error {
		if *path != "" {
			*path = filepath.Join(dir, k.Files[*path])
		}
		return nil
	})
	return set, k.Version, err
}
