package datadir

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"rookery"
	"rookery/storage/keys"
)

// KeySource is where a node keeps a keyring: a file, which a command of the
// operator may seal, so that a stolen disk tells nothing.
type KeySource struct {
	path    string
	command []string
	// under is the tenant ring that seals the file in place of the command; nil
	// for that ring's own file. name is the file's below the data directory.
	under *keys.Keyring
	name  string
}

// TenantKeys is the source of the tenant keyring, sealed by command where that
// is set.
func (d Dir) TenantKeys(command []string) KeySource {
	return KeySource{path: d.path(tenantKeys), command: command}
}

// SettingsKeys is the source of the settings keyring, sealed under the tenant
// key that is in use by ring when it is saved.
func (d Dir) SettingsKeys(ring *keys.Keyring) KeySource {
	return KeySource{path: d.path(settingsKeys), under: ring, name: settingsKeys}
}

// AuthorityKeys is the source of the keys of the cluster's CA, sealed as those
// of the settings. A secret is that of an authority.
func (d Dir) AuthorityKeys(ring *keys.Keyring) KeySource {
	return KeySource{path: d.path(authorityKey), under: ring, name: authorityKey}
}

// Sealed reports whether the keyring lies under the tenant's.
func (s KeySource) Sealed() bool { return s.under != nil }

// Path is the file's.
func (s KeySource) Path() string { return s.path }

// KeyCommandTime bounds one run of the command.
const KeyCommandTime = 30 * time.Second

// keyCommandOutput bounds, in bytes, what it may give.
const keyCommandOutput = 64 << 10

// sealedKeyring is the file where a command seals it: the keyring under a
// random key, which alone passes through the command.
type sealedKeyring struct {
	Format  int    `json:"format"` // 2
	Wrapped []byte `json:"wrapped_key"`
	Sealed  []byte `json:"sealed"`
}

var sealedKeyringAAD = []byte("rookery sealed keyring 2")

// String says what kind of source it is, for operators.
func (s KeySource) String() string {
	if len(s.command) > 0 {
		return "command " + s.command[0]
	}
	return "file"
}

// Clear removes what a crash in the middle of a Save left. Only who holds the
// directory's lock may: another's Save may be under way.
func (s KeySource) Clear() error {
	if err := keys.ClearKeyFile(s.path); err != nil {
		return rookery.E("load keyring", rookery.KindUnavailable, err)
	}
	return nil
}

// Load reads the keyring: KindNotFound where there is none, else as
// keys.LoadKeyring. A file that is not sealed yet opens too, so that a command
// can be brought in later.
func (s KeySource) Load(ctx context.Context) (*keys.Keyring, error) {
	if s.under != nil {
		return s.loadSealed()
	}
	if len(s.command) == 0 {
		k, err := keys.LoadKeyring(s.path)
		if rookery.Is(err, rookery.KindDamaged) && s.isSealed() {
			return nil, rookery.E("load keyring", rookery.KindInvalid,
				fmt.Errorf("%s is sealed by a command: set keys.command in the node file", s.path))
		}
		return k, err
	}
	b, err := os.ReadFile(s.path)
	if err != nil || !isSealed(b) {
		clear(b)
		k, err := keys.LoadKeyring(s.path)
		if err == nil {
			err = s.Save(ctx, k) // seal it now
		}
		return k, err
	}
	return s.unwrap(ctx, b)
}

// unwrap opens a keyring that a command sealed.
func (s KeySource) unwrap(ctx context.Context, b []byte) (*keys.Keyring, error) {
	var f sealedKeyring
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, s.damaged("is cut short")
	}
	key, err := s.run(ctx, "unwrap", f.Wrapped)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	if len(key) != 32 {
		return nil, rookery.E("load keyring", rookery.KindDamaged,
			fmt.Errorf("keys.command unwrap gave %d bytes, not the 32 it was given to wrap", len(key)))
	}
	gcm, err := keyGCM(key)
	if err != nil {
		return nil, err
	}
	n := gcm.NonceSize()
	if len(f.Sealed) < n {
		return nil, s.damaged("is cut short")
	}
	plain, err := gcm.Open(nil, f.Sealed[:n], f.Sealed[n:], sealedKeyringAAD)
	if err != nil {
		return nil, s.damaged("does not open with what keys.command unwrap gave")
	}
	defer clear(plain)
	return keys.ParseKeyring(plain, s.path)
}

func (s KeySource) damaged(why string) error {
	return rookery.E("load keyring", rookery.KindDamaged,
		fmt.Errorf("%s %s: bring it back from the recovery kit, or move it away and the node fetches another from its cluster", s.path, why))
}

// Save keeps a keyring durably in place of the former.
func (s KeySource) Save(ctx context.Context, k *keys.Keyring) error {
	if s.under != nil {
		return s.saveSealed(k)
	}
	if len(s.command) == 0 {
		return k.Save(s.path)
	}
	plain, err := k.Encode()
	if err != nil {
		return err
	}
	defer clear(plain)
	key := make([]byte, 32)
	defer clear(key)
	rand.Read(key)
	f := sealedKeyring{Format: 2}
	if f.Wrapped, err = s.run(ctx, "wrap", key); err != nil {
		return err
	}
	gcm, err := keyGCM(key)
	if err != nil {
		return err
	}
	nonce := make([]byte, gcm.NonceSize())
	rand.Read(nonce)
	f.Sealed = gcm.Seal(nonce, nonce, plain, sealedKeyringAAD)
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return rookery.E("save keyring", rookery.KindInvalid, err)
	}
	return keys.SaveKeyFile(s.path, append(b, '\n'))
}

func (s KeySource) isSealed() bool {
	b, err := os.ReadFile(s.path)
	defer clear(b)
	return err == nil && isSealed(b)
}

func isSealed(b []byte) bool {
	var f struct {
		Format int `json:"format"`
	}
	return json.Unmarshal(b, &f) == nil && f.Format == 2
}

func keyGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, rookery.E("seal keyring", rookery.KindInvalid, err)
	}
	return cipher.NewGCM(block)
}

// run has the command wrap or unwrap a key: the key comes on its standard
// input, the result on its standard output. Nothing secret is in an argument
// or in the environment.
func (s KeySource) run(ctx context.Context, what string, in []byte) ([]byte, error) {
	op := "run keys.command " + what
	ctx, cancel := context.WithTimeout(ctx, KeyCommandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.command[0], append(append([]string{}, s.command[1:]...), what)...)
	cmd.WaitDelay = time.Second
	out := &bounded{max: keyCommandOutput}
	said := &bounded{max: 500, cut: true}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), out, said
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("it took more than %v", KeyCommandTime)
	case out.over:
		err = fmt.Errorf("it wrote more than %d bytes", out.max)
	case err == nil && len(out.b) == 0:
		err = errors.New("it wrote nothing to its standard output")
	}
	if err != nil {
		clear(out.b)
		return nil, rookery.E(op, rookery.KindUnavailable,
			fmt.Errorf("%s: %w; it said: %s", s.command[0], err, strings.TrimSpace(string(said.b))))
	}
	return out.b, nil
}

// bounded keeps at most max bytes of what is written to it: more is an error,
// or cut.
type bounded struct {
	b    []byte
	max  int
	cut  bool
	over bool
}

func (w *bounded) Write(p []byte) (int, error) {
	if room := w.max - len(w.b); len(p) > room {
		if !w.cut {
			w.over = true
			return 0, io.ErrShortBuffer
		}
		w.b = append(w.b, p[:room]...)
		return len(p), nil
	}
	w.b = append(w.b, p...)
	return len(p), nil
}
