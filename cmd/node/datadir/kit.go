package datadir

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"rookery"
	"rookery/cluster/transport/identity"
	"rookery/internal/durable"
)

// Kit is the recovery kit: what brings a cluster's data back to life
// elsewhere. Anyone who has it can read all mail and admit nodes.
type Kit struct {
	Cluster      string    `json:"cluster"`
	Made         time.Time `json:"made"`
	Authority    string    `json:"ca_pem"`
	AuthorityKey string    `json:"ca_key_pem"`
	TenantKeys   []byte    `json:"tenant_keys"`
	SettingsKey  []byte    `json:"settings_key"`
}

// WriteKit writes the kit of a node's cluster to a file of mode 0600. The node
// may run.
func (d Dir) WriteKit(path string, now time.Time) error {
	const op = "write recovery kit"
	ident, err := identity.LoadIdentity(d.path(certificateDir))
	if err != nil {
		return err
	}
	ring, err := os.ReadFile(d.path(tenantKeys)) // sealed where a command seals it
	if err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	w, err := d.welcome(ring)
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(Kit{
		Cluster: ident.Cluster, Made: now.UTC(), Authority: string(ident.AuthoritiesPEM()), AuthorityKey: string(w.AuthorityKey),
		TenantKeys: w.TenantKeys, SettingsKey: w.SettingsKey,
	}, "", "  ")
	if err == nil {
		err = durable.WriteFile(path, append(b, '\n'), 0o600)
	}
	if err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	return nil
}

// ReadKit reads a kit that WriteKit wrote.
func ReadKit(path string) (k Kit, err error) {
	const op = "read recovery kit"
	b, err := os.ReadFile(path)
	if err != nil {
		return k, rookery.E(op, rookery.KindInvalid, err)
	}
	defer clear(b)
	if err := json.Unmarshal(b, &k); err != nil || k.Cluster == "" || len(k.TenantKeys) == 0 || len(k.SettingsKey) == 0 {
		return k, rookery.E(op, rookery.KindInvalid, fmt.Errorf("%s is not a whole recovery kit", path)) // the cause may quote a key
	}
	return k, nil
}
