package datadir

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/storage/keys"
)

// vault writes a program that wraps keys, as one of a KMS would: it turns the
// bytes round, and notes that it was called and how.
func vault(t *testing.T, dir string) []string {
	t.Helper()
	path := filepath.Join(dir, "vault")
	script := fmt.Sprintf("#!/bin/sh\necho \"$@\" >> %s/calls\ncase \"$2\" in\nwrap) od -An -v -tx1 | tr -d ' \\n' ;;\nunwrap) "+
		"h=$(cat); i=1; while [ $i -lt ${#h} ]; do printf \"\\\\$(printf %%o 0x$(echo $h | cut -c$i-$((i+1))))\"; i=$((i+2)); done "+
		";;\n*) exit 9 ;;\nesac\n", dir)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return []string{path, "key-7"}
}

func secretOf(t *testing.T, k *keys.Keyring, version uint32) []byte {
	t.Helper()
	key, ok := k.Tenant(version)
	if !ok {
		t.Fatalf("no version %d", version)
	}
	return bytes.Clone(key.Secret())
}

func TestKeyringSealedByACommand(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig(t)
	cfg.Keys.Command = vault(t, dir)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	if err := Create(t.Context(), cfg, vfs.NewMem(), time.Now()); err != nil {
		t.Fatal(err)
	}
	d := Dir(cfg.DataDir)
	s := d.TenantKeys(cfg.Keys.Command)
	ring, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil || string(calls) != "key-7 wrap\nkey-7 unwrap\n" {
		t.Errorf("the command was called %q (%v)", calls, err)
	}
	plain := filepath.Join(dir, "plain.json")
	if err := ring.Save(plain); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(plain)
	if err != nil {
		t.Fatal(err)
	}
	key := string(text[bytes.Index(text, []byte(`"key": "`))+8:][:40])
	if bytes.Contains(file, []byte(key)) || bytes.Contains(file, secretOf(t, ring, 1)) {
		t.Error("the file holds the key in the clear")
	}
	if _, err := (KeySource{path: s.path}).Load(t.Context()); !rookery.Is(err, rookery.KindInvalid) ||
		!strings.Contains(err.Error(), "keys.command") {
		t.Errorf("without the command: %v", err)
	}
	// A file in the clear is sealed at the first load.
	if err := ring.Save(s.path); err != nil {
		t.Fatal(err)
	}
	if again, err := s.Load(t.Context()); err != nil || !bytes.Equal(secretOf(t, again, 1), secretOf(t, ring, 1)) || !s.isSealed() {
		t.Errorf("%v, sealed %v", err, s.isSealed())
	}
	// The kit holds what the file holds.
	kit := filepath.Join(dir, "kit.json")
	if err := d.WriteKit(kit, time.Now(), true); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(kit); err != nil || bytes.Contains(b, []byte(key)) {
		t.Errorf("the kit holds the key in the clear (%v)", err)
	}
}

func TestKeyCommandFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "tenant.json")
	program := func(script string) KeySource {
		name := filepath.Join(dir, "program")
		if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
		return KeySource{path: path, command: []string{name}}
	}
	ring := keys.GenerateKeyring()
	for script, want := range map[string]string{
		"echo no such key >&2; exit 3": "no such key",
		"exit 0":                       "wrote nothing",
		"head -c 100000 /dev/zero":     "more than",
	} {
		err := program(script).Save(t.Context(), ring)
		if !rookery.Is(err, rookery.KindUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", script, err)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s: a file was written", script)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := program("sleep 60").Save(ctx, ring); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("a command that hangs: %v", err)
	}
	if err := program("cat").Save(t.Context(), ring); err != nil {
		t.Fatal(err)
	}
	for script, kind := range map[string]rookery.Kind{"exit 1": rookery.KindUnavailable, "echo short": rookery.KindDamaged,
		"head -c 32 /dev/zero": rookery.KindDamaged} {
		if _, err := program(script).Load(t.Context()); !rookery.Is(err, kind) {
			t.Errorf("unwrap by %q: %v", script, err)
		}
	}
}
