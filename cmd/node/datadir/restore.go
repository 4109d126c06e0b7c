package datadir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/internal/durable"
	"rookery/storage/keys"
)

// RestoredKeys is what RestoreKeys did in a data directory.
type RestoredKeys struct {
	Written []string `json:"written"`
	// Kept are files that were there, which nothing changes.
	Kept []string `json:"kept"`
	// Missing are versions of the tenant key that are in use and not in the kit:
	// mail of accounts wrapped under them stays unreadable.
	Missing []uint32 `json:"missing_tenant_keys,omitempty"`
	// Sealed is that the kit's keyring opens with keys.command alone, so that it
	// is not known whether it lacks some.
	Sealed bool `json:"sealed,omitempty"`
}

// RestoreKeys puts the files below keys and identity that a stopped node's data
// directory lacks back from a recovery kit; its node.json, log and state must
// be there. It writes nothing where the kit is of another cluster, or, unless
// partial is set, lacks a tenant key that is in use by the state. command is the
// one that seals the tenant keyring, where there is one.
func (d Dir) RestoreKeys(ctx context.Context, kit Kit, command []string, partial bool, logger *slog.Logger,
	now time.Time) (r RestoredKeys, err error) {
	const op = "restore keys"
	if _, err := os.Stat(d.path(identityFile)); errors.Is(err, fs.ErrNotExist) {
		return r, rookery.E(op, rookery.KindNotFound,
			fmt.Errorf("%s has no %s, which says who the node is and is in no kit: bring it back from a copy of the directory, or begin "+
				"anew with rookery join", d, identityFile))
	}
	o, err := d.openOffline(vfs.Default, logger)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	from := restoring{kit: kit, command: command, now: now}
	if err := from.open(ctx, d); err != nil {
		return r, err
	}
	if r.Sealed = from.ring == nil; !r.Sealed {
		defer from.ring.Clear()
		if r.Missing, err = o.lacks(from.ring); err != nil {
			return r, err
		}
	}
	if lost := !from.kept; lost && len(r.Missing) > 0 && !partial {
		return r, rookery.E(op, rookery.KindConflict,
			fmt.Errorf("tenant keys %v are in use and not in this kit, of %s: look for a later kit, or another node's keys/tenant.json; "+
				"with -partial what is under them stays unreadable", r.Missing, kit.Made.Format(time.RFC3339)))
	}
	return r, o.restore(ctx, &r, &from)
}

// lacks are the versions that the state has in use and the keyring has not, or
// as another key.
func (o *offline) lacks(ring *keys.Keyring) (versions []uint32, err error) {
	records, err := o.system.TenantKeys()
	if err != nil {
		return nil, err
	}
	held := ring.Fingerprints()
	for _, k := range records {
		if k.Since > 0 && k.Destroyed == 0 && held[k.Version] != k.Fingerprint {
			versions = append(versions, k.Version)
		}
	}
	slices.Sort(versions)
	return versions, nil
}

// restore writes what is missing. Done again after a crash it goes on.
func (o *offline) restore(ctx context.Context, r *RestoredKeys, from *restoring) error {
	const op = "restore keys"
	if err := durable.MakeDir(o.dir.path("keys")); err != nil {
		return rookery.E(op, rookery.KindDenied, err)
	}
	for _, name := range []string{tenantKeys, settingsKeys, authorityKey} {
		path := o.dir.path(name)
		if !o.dir.lacksFile(name) {
			r.Kept = append(r.Kept, name)
			continue
		}
		b, err := from.file(ctx, o.dir, name)
		if err != nil {
			return err
		}
		if err := durable.WriteFile(path, b, 0o600); err != nil {
			return rookery.E(op, rookery.KindUnavailable, err)
		}
		r.Written = append(r.Written, name)
	}
	if from.ident != nil {
		r.Kept = append(r.Kept, certificateDir)
		return nil
	}
	ident, err := issue(from.ca, o.id.Node, from.now)
	if err == nil {
		err = ident.Save(o.dir.path(certificateDir))
	}
	if err != nil {
		return err
	}
	r.Written = append(r.Written, certificateDir)
	return nil
}
