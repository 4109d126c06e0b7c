package datadir

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"rookery"
	"rookery/cluster/transport/identity"
	"rookery/internal/durable"
	"rookery/storage/keys"
)

// Kit is the recovery kit: what brings a cluster's data back to life
// elsewhere. Anyone who has it, and the backup store, can read all mail and
// admit nodes.
type Kit struct {
	Cluster   string    `json:"cluster"`
	Made      time.Time `json:"made"`
	Authority string    `json:"ca_pem"`
	// PrivateKey opens the keys that lie in the backup store, those in use: a kit
	// never goes stale, and a key that is destroyed is gone from it too.
	PrivateKey []byte `json:"private_key"`
	// KitKeys are in the kit itself where the cluster has no backup.
	KitKeys
}

// KitKeys are the key files of a cluster as they lie in a directory.
type KitKeys struct {
	AuthorityKey string `json:"ca_key_pem,omitempty"`
	TenantKeys   []byte `json:"tenant_keys,omitempty"`
	SettingsKey  []byte `json:"settings_key,omitempty"`
}

// Whole reports whether the kit has the keys themselves.
func (k *Kit) Whole() bool { return len(k.TenantKeys) > 0 && len(k.SettingsKey) > 0 }

// Open takes the keys from what SealedForKit gave. KindInvalid: they are sealed to a
// later kit.
func (k *Kit) Open(sealed []byte) error {
	const op = "open recovery kit"
	plain, err := keys.OpenWith(k.PrivateKey, sealed)
	if err != nil {
		return rookery.E(op, rookery.KindInvalid, errors.New("the keys in the backup store are sealed to a kit that was "+
			"written later: use that one"))
	}
	defer clear(plain)
	var into KitKeys
	if err := json.Unmarshal(plain, &into); err != nil {
		return rookery.E(op, rookery.KindDamaged, errors.New("what is sealed are no keys of a kit"))
	}
	k.KitKeys = into
	return nil
}

// SealedForKit are the directory's key files, sealed to the public half of a kit.
func (d Dir) SealedForKit(public []byte) ([]byte, error) {
	k, err := d.readKit()
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(k.KitKeys)
	if err != nil {
		return nil, rookery.E("seal keys", rookery.KindInvalid, err)
	}
	defer clear(plain)
	return keys.SealTo(public, plain)
}

// The kit's files are as they lie in the directory: CA and settings key sealed
// under a version of the tenant keyring, which is in the kit, itself sealed
// where a command seals it. Kits of before hold the first two in the clear.

// readKit reads what goes into a kit. The files may be replaced meanwhile, so
// it is read again until they fit, as far as that can be seen.
func (d Dir) readKit() (k Kit, err error) {
	for range 5 {
		var authority []byte
		for name, into := range map[string]*[]byte{authorityKey: &authority, settingsKeys: &k.SettingsKey, tenantKeys: &k.TenantKeys} {
			if *into, err = os.ReadFile(d.path(name)); err != nil {
				return k, rookery.E("write recovery kit", rookery.KindUnavailable, err)
			}
		}
		k.AuthorityKey = string(authority)
		if isSealed(k.TenantKeys) {
			return k, nil
		}
		if _, err = k.ring(); err == nil {
			return k, nil
		}
	}
	return k, err
}

// ring opens the kit's tenant keyring, and makes sure that it opens the rest.
func (k *Kit) ring() (*keys.Keyring, error) {
	ring, err := keys.ParseKeyring(k.TenantKeys, "the recovery kit's keyring")
	if err != nil {
		return nil, err
	}
	for name, b := range map[string][]byte{authorityKey: []byte(k.AuthorityKey), settingsKeys: k.SettingsKey} {
		plain, err := unseal(ring, name, b)
		if err != nil {
			return nil, err
		}
		clear(plain)
	}
	return ring, nil
}

// WriteKit writes a new kit of a node's cluster to a file of mode 0600; with the
// keys themselves where the cluster has no backup, in which they lie. The node may
// run.
func (d Dir) WriteKit(path string, now time.Time, withKeys bool) error {
	const op = "write recovery kit"
	ident, err := identity.LoadIdentity(d.path(certificateDir))
	if err != nil {
		return err
	}
	k, err := d.readKit()
	if err != nil {
		return err
	}
	public, private, err := keys.NewPair()
	if err != nil {
		return err
	}
	k.Cluster, k.Made, k.Authority, k.PrivateKey = ident.Cluster, now.UTC(), string(ident.AuthoritiesPEM()), private
	written := k
	if !withKeys {
		written.KitKeys = KitKeys{}
	}
	b, err := json.MarshalIndent(written, "", "  ")
	if err == nil {
		err = durable.WriteFile(path, append(b, '\n'), 0o600)
	}
	if err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	return d.noteKit(&k, public, withKeys)
}

// ReadKit reads a kit that WriteKit wrote.
func ReadKit(path string) (k Kit, err error) {
	const op = "read recovery kit"
	b, err := os.ReadFile(path)
	if err != nil {
		return k, rookery.E(op, rookery.KindInvalid, err)
	}
	defer clear(b)
	if err := json.Unmarshal(b, &k); err != nil || k.Cluster == "" || !k.Whole() && len(k.PrivateKey) == 0 {
		return k, rookery.E(op, rookery.KindInvalid, fmt.Errorf("%s is not a whole recovery kit", path)) // the cause may quote a key
	}
	return k, nil
}
