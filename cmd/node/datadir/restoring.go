package datadir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"rookery"
	"rookery/cluster/transport/identity"
	"rookery/storage/keys"
)

// restoring is a recovery kit beside the directory that it is to mend.
type restoring struct {
	kit     Kit
	command []string
	now     time.Time

	ring  *keys.Keyring       // the kit's; nil where it opens with a command that was not given
	ca    *identity.Authority // nil with it
	ident *identity.Identity  // the directory's, nil where that has none
	kept  bool                // the directory has its tenant keyring
}

func (d Dir) lacksFile(name string) bool {
	_, err := os.Stat(d.path(name))
	return errors.Is(err, fs.ErrNotExist)
}

// open reads the kit, and refuses one that is of another cluster, or that stays
// closed though something has to be taken from it.
func (r *restoring) open(ctx context.Context, d Dir) (err error) {
	const op = "restore keys"
	if !r.kit.Whole() {
		return rookery.E(op, rookery.KindInvalid, errors.New("the kit has only the private half of a key: say where the backup store is "+
			"that has the keys, with -from"))
	}
	r.kept = !d.lacksFile(tenantKeys)
	if r.ident, err = identity.LoadIdentity(d.path(certificateDir)); rookery.Is(err, rookery.KindNotFound) {
		r.ident, err = nil, nil
	}
	if err != nil {
		return err
	}
	if r.ident != nil && r.ident.Cluster != r.kit.Cluster {
		return r.otherCluster(d, r.kit.Cluster)
	}
	if r.ring, err = r.openRing(ctx); err != nil {
		return err
	}
	if r.ring == nil {
		if r.ident == nil || r.kept && (d.lacksFile(settingsKeys) || d.lacksFile(authorityKey)) {
			return rookery.E(op, rookery.KindInvalid, errors.New("the kit's keyring is sealed by a command, and without it neither a "+
				"certificate can be made nor a key file opened: give the node file that has keys.command with -config"))
		}
		return nil
	}
	key, err := unseal(r.ring, authorityKey, []byte(r.kit.AuthorityKey))
	if err != nil {
		return err
	}
	defer clear(key)
	if r.ca, err = authorityOf([]byte(r.kit.Authority), key, "the recovery kit's CA key"); err != nil {
		return rookery.E(op, rookery.KindInvalid, fmt.Errorf("the kit's CA: %w", err))
	}
	if r.ident != nil && r.ident.Cluster != r.ca.Cluster() {
		return r.otherCluster(d, r.ca.Cluster())
	}
	return nil
}

func (r *restoring) otherCluster(d Dir, cluster string) error {
	return rookery.E("restore keys", rookery.KindInvalid, fmt.Errorf("the kit is of cluster %s, and %s is of %s", cluster, d, r.ident.Cluster))
}

func (r *restoring) openRing(ctx context.Context) (*keys.Keyring, error) {
	const from = "the recovery kit's keyring"
	switch {
	case !isSealed(r.kit.TenantKeys):
		return keys.ParseKeyring(r.kit.TenantKeys, from)
	case len(r.command) > 0:
		return KeySource{path: from, command: r.command}.unwrap(ctx, r.kit.TenantKeys)
	}
	return nil, nil
}

// file is what a missing file is to hold: what the kit has, sealed under the
// tenant keyring that the directory has kept where that is another.
func (r *restoring) file(ctx context.Context, d Dir, name string) ([]byte, error) {
	b := r.kit.SettingsKey
	switch name {
	case tenantKeys:
		return r.kit.TenantKeys, nil
	case authorityKey:
		b = []byte(r.kit.AuthorityKey)
	}
	if !r.kept {
		return b, nil
	}
	plain, err := unseal(r.ring, name, b)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	mine, err := d.TenantKeys(r.command).Load(ctx)
	if err != nil {
		return nil, err
	}
	defer mine.Clear()
	return seal(mine, name, plain)
}
