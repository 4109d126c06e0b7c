package datadir

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/storage/keys"
)

// created is the directory of a new cluster's first node.
func created(t *testing.T, command ...string) (Dir, *keys.Keyring) {
	t.Helper()
	cfg := testConfig(t)
	cfg.Keys.Command = command
	if err := Create(t.Context(), cfg, vfs.NewMem(), time.Now()); err != nil {
		t.Fatal(err)
	}
	d := Dir(cfg.DataDir)
	ring, err := d.TenantKeys(command).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d, ring
}

// TestKeyFilesAreSealed from the first moment, follow the tenant key, and open
// with nothing else.
func TestKeyFilesAreSealed(t *testing.T) {
	d, ring := created(t)
	settings, err := d.SettingsKeys(ring).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	closed := func(under uint32) {
		t.Helper()
		ca, err := os.ReadFile(d.path(authorityKey))
		if err != nil || bytes.Contains(ca, []byte("PRIVATE KEY")) {
			t.Errorf("the CA's key lies in the clear (%v)", err)
		}
		b, err := os.ReadFile(d.path(settingsKeys))
		if err != nil || bytes.Contains(b, []byte(`"keys"`)) {
			t.Errorf("the settings key lies in the clear (%v)", err)
		}
		if got, err := d.SealedUnder(); got != under || err != nil {
			t.Errorf("sealed under %d, want %d (%v)", got, under, err)
		}
		if _, err := d.Authority(ring); err != nil {
			t.Error(err)
		}
	}
	closed(1)
	// Another keyring, also with the same version, opens neither.
	if _, err := d.Authority(keys.GenerateKeyring()); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("another keyring: %v", err)
	}
	if _, err := d.SettingsKeys(new(keys.Keyring)).Load(t.Context()); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("no keyring: %v", err)
	}
	ring.Rotate()
	authority, err := d.AuthorityKeys(ring).Load(t.Context())
	if err == nil {
		err = d.AuthorityKeys(ring).SealAnew(t.Context(), authority)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.SealedUnder(); got != 1 || err != nil {
		t.Errorf("with one file still under the old version it says %d (%v)", got, err)
	}
	if err := d.SettingsKeys(ring).Save(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	if err := ring.Destroy(1); err != nil {
		t.Fatal(err)
	}
	closed(2)
	// One file is not taken for the other.
	b, err := os.ReadFile(d.path(authorityKey))
	if err == nil {
		err = os.WriteFile(d.path(settingsKeys), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.SettingsKeys(ring).Load(t.Context()); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("the CA's file as the settings key: %v", err)
	}
}

// TestKitOfAKMS opens with its command alone: it must be given where something
// has to be made of the kit.
func TestKitOfAKMS(t *testing.T) {
	command := vault(t, t.TempDir())
	d, ring := created(t, command...)
	path := filepath.Join(t.TempDir(), "kit.json")
	if err := d.WriteKit(path, time.Now(), true); err != nil {
		t.Fatal(err)
	}
	kit, err := ReadKit(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || bytes.Contains(b, []byte("PRIVATE KEY")) {
		t.Errorf("the kit shows the CA's key (%v)", err)
	}
	if err := os.RemoveAll(d.path(certificateDir)); err != nil {
		t.Fatal(err)
	}
	without := restoring{kit: kit, now: time.Now()}
	if err := without.open(t.Context(), d); !rookery.Is(err, rookery.KindInvalid) || !strings.Contains(err.Error(), "-config") {
		t.Errorf("without the command: %v", err)
	}
	// The keyring that stayed has gone on; what is missing comes under it.
	ring.Rotate()
	if err := ring.Destroy(1); err != nil {
		t.Fatal(err)
	}
	if err := d.TenantKeys(command).Save(t.Context(), ring); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(d.path(authorityKey)); err != nil {
		t.Fatal(err)
	}
	with := restoring{kit: kit, command: command, now: time.Now()}
	if err := with.open(t.Context(), d); err != nil || with.ca == nil {
		t.Fatal(err)
	}
	b, err = with.file(t.Context(), d, authorityKey)
	if err == nil {
		err = os.WriteFile(d.path(authorityKey), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if f, sealed := parseSealed(b); !sealed || f.Under != 2 {
		t.Errorf("it is sealed under %d", f.Under)
	}
	if plain, err := unseal(ring, authorityKey, b); err != nil || !bytes.Contains(plain, []byte("PRIVATE KEY")) {
		t.Errorf("what came back does not open: %v", err)
	}
}
