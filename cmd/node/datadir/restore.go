package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/cluster/transport/identity"
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
// partial is set, lacks a tenant key that is in use by the state.
func (d Dir) RestoreKeys(kit Kit, partial bool, logger *slog.Logger, now time.Time) (r RestoredKeys, err error) {
	const op = "restore keys"
	if _, err := os.Stat(d.path(identityFile)); errors.Is(err, fs.ErrNotExist) {
		return r, rookery.E(op, rookery.KindNotFound,
			fmt.Errorf("%s has no %s, which says who the node is and is in no kit: bring it back from a copy of the directory, or begin "+
				"anew with rookery join", d, identityFile))
	}
	ca, err := identity.ParseAuthority([]byte(kit.Authority), []byte(kit.AuthorityKey))
	if err != nil {
		return r, rookery.E(op, rookery.KindInvalid, fmt.Errorf("the kit's CA: %w", err))
	}
	o, err := d.openOffline(vfs.Default, logger)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	if r.Sealed = isSealed(kit.TenantKeys); !r.Sealed {
		if r.Missing, err = o.lacks(kit.TenantKeys); err != nil {
			return r, err
		}
	}
	ident, err := identity.LoadIdentity(d.path(certificateDir))
	switch {
	case err == nil && ident.Cluster != ca.Cluster():
		return r, rookery.E(op, rookery.KindInvalid, fmt.Errorf("the kit is of cluster %s, and %s is of %s", ca.Cluster(), d, ident.Cluster))
	case rookery.Is(err, rookery.KindNotFound):
		ident, err = nil, nil
	case err != nil:
		return r, err
	}
	_, err = os.Stat(d.path(tenantKeys))
	if lost := errors.Is(err, fs.ErrNotExist); lost && len(r.Missing) > 0 && !partial {
		return r, rookery.E(op, rookery.KindConflict,
			fmt.Errorf("tenant keys %v are in use and not in this kit, of %s: look for a later kit, or another node's keys/tenant.json; "+
				"with -partial what is under them stays unreadable", r.Missing, kit.Made.Format(time.RFC3339)))
	}
	return r, o.restore(&r, kit, ca, ident, now)
}

// lacks are the versions that the state has in use and the keyring has not, or
// as another key.
func (o *offline) lacks(keyring []byte) (versions []uint32, err error) {
	ring, err := keys.ParseKeyring(keyring, "the recovery kit's keyring")
	if err != nil {
		return nil, err
	}
	defer ring.Clear()
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
func (o *offline) restore(r *RestoredKeys, kit Kit, ca *identity.Authority, ident *identity.Identity, now time.Time) error {
	const op = "restore keys"
	if err := durable.MakeDir(o.dir.path("keys")); err != nil {
		return rookery.E(op, rookery.KindDenied, err)
	}
	for _, f := range []struct {
		name string
		data []byte
	}{{tenantKeys, kit.TenantKeys}, {settingsKeys, kit.SettingsKey}, {authorityKey, []byte(kit.AuthorityKey)}} {
		path := o.dir.path(f.name)
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			r.Kept = append(r.Kept, f.name)
			continue
		}
		if err := durable.WriteFile(path, f.data, 0o600); err != nil {
			return rookery.E(op, rookery.KindUnavailable, err)
		}
		r.Written = append(r.Written, f.name)
	}
	if ident != nil {
		r.Kept = append(r.Kept, certificateDir)
		return nil
	}
	ident, err := issue(ca, o.id.Node, now)
	if err == nil {
		err = ident.Save(o.dir.path(certificateDir))
	}
	if err != nil {
		return err
	}
	r.Written = append(r.Written, certificateDir)
	return nil
}
