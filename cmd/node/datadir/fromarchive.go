package datadir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/internal/durable"
	"rookery/storage/keys"
)

// fromArchiveFile is there while a directory is filled from the archive.
const fromArchiveFile = "from-archive"

// BeginFromArchive takes an empty directory for what the archive gives. What an earlier
// attempt has left that did not come to its end is removed. KindExists: it is a node's.
func (d Dir) BeginFromArchive() error {
	const op = "bring back cluster"
	if err := durable.MakeDir(string(d)); err != nil {
		return rookery.E(op, rookery.KindDenied, err)
	}
	_, err := os.Stat(d.path(fromArchiveFile))
	if errors.Is(err, fs.ErrNotExist) {
		if err := d.refuseExisting(op, vfs.Default); err != nil {
			return err
		}
		if err := durable.WriteFile(d.path(fromArchiveFile), []byte("This directory is being filled from the archive.\n"), 0o600); err != nil {
			return rookery.E(op, rookery.KindUnavailable, err)
		}
		return nil
	}
	for _, name := range append([]string{identityFile, "keys", certificateDir, recoveryFile, seedsFile}, parts...) {
		err = errors.Join(err, os.RemoveAll(d.path(name)))
	}
	if err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	return nil
}

// refuseHalfFilled ends the start of a node whose directory the archive has not filled.
func (d Dir) refuseHalfFilled() error {
	_, err := os.Stat(d.path(fromArchiveFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return rookery.E("open node", rookery.KindConflict,
		fmt.Errorf("%s was being filled from the archive, and that did not come to its end; do it again: rookery restore cluster", d))
}

// SettingsKeys opens the kit's keys of the settings; command is the one that seals the
// tenant keyring, where there is one.
func (k *Kit) SettingsKeys(ctx context.Context, command []string) (*keys.Keyring, error) {
	r := restoring{kit: *k, command: command}
	ring, err := r.openRing(ctx)
	if err != nil {
		return nil, err
	}
	if ring == nil {
		return nil, rookery.E("open recovery kit", rookery.KindInvalid,
			errors.New("its keyring is sealed by a command: give the node file that has keys.command"))
	}
	defer ring.Clear()
	plain, err := unseal(ring, settingsKeys, k.SettingsKey)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return keys.ParseKeyring(plain, "the recovery kit's settings key")
}

// EndFromArchive says that the directory is filled.
func (d Dir) EndFromArchive() error {
	return errors.Join(os.Remove(d.path(fromArchiveFile)), durable.SyncDir(string(d)))
}
