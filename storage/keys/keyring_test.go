package keys

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rookery"
)

func TestKeyring(t *testing.T) {
	ring := GenerateKeyring()
	id, other := rookery.NewAccountID(), rookery.NewAccountID()
	acct, wrapped, err := ring.NewAccountKey(id)
	if err != nil {
		t.Fatal(err)
	}
	email, key := rookery.NewEmailID(), NewMessageKey()
	w := acct.WrapMessage(email, key)
	if len(w) != WrappedMessageKeyLen {
		t.Errorf("wrapped key of %d bytes", len(w))
	}

	path := filepath.Join(t.TempDir(), "keys")
	if err := ring.Save(path); err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadKeyring(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := loaded.OpenAccount(id, wrapped)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.UnwrapMessage(email, w); err != nil || got != key {
		t.Errorf("unwrap: %v", err)
	}
	if again.ThreadToken(TokenMessageID, "a") != acct.ThreadToken(TokenMessageID, "a") ||
		acct.ThreadToken(TokenMessageID, "a") == acct.ThreadToken(TokenSubject, "a") {
		t.Error("thread tokens are not stable or not apart")
	}
	if _, err := again.UnwrapMessage(rookery.NewEmailID(), w); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("another message: %v", err)
	}
	if _, err := ring.OpenAccount(other, wrapped); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("another account: %v", err)
	}
	for i := range wrapped {
		bad := bytes.Clone(wrapped)
		bad[i] ^= 1
		if _, err := ring.OpenAccount(id, bad); err == nil {
			t.Errorf("opened with byte %d changed", i)
		}
	}

	if err := ring.Destroy(1); !rookery.Is(err, rookery.KindDenied) {
		t.Errorf("destroy current: %v", err)
	}
	if v := ring.Rotate(); v != 2 || !slices.Equal(ring.Versions(), []uint32{1, 2}) {
		t.Errorf("version %d of %v", v, ring)
	}
	rewrapped, err := ring.Rewrap(id, wrapped)
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Destroy(1); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.OpenAccount(id, wrapped); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("after the destruction: %v", err)
	}
	last, err := ring.OpenAccount(id, rewrapped)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := last.UnwrapMessage(email, w); err != nil || got != key {
		t.Errorf("after rewrapping: %v", err)
	}
	if err := ring.Save(path); err != nil { // over the old file
		t.Fatal(err)
	}
	if loaded, err = LoadKeyring(path); err != nil || loaded.Current() != 2 || len(loaded.Versions()) != 1 {
		t.Errorf("%v, %v", loaded, err)
	}
}

func TestKeyringFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	if _, err := LoadKeyring(path); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("no file: %v", err)
	}
	if err := GenerateKeyring().Save(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(path + "?*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(path, 0o644)
	if _, err := LoadKeyring(path); !rookery.Is(err, rookery.KindDenied) {
		t.Errorf("readable by others: %v", err)
	}
	os.Chmod(path, 0o600)
	for _, bad := range [][]byte{nil, good[:len(good)/2], []byte("{}"), bytes.Replace(good, []byte(`"current": 1`), []byte(`"current": 2`), 1),
		bytes.Replace(good, []byte(`"format": 1`), []byte(`"format": 9`), 1)} {
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadKeyring(path); !rookery.Is(err, rookery.KindDamaged) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Whoever reads the file while it is replaced gets one ring or the other: Save
// overwrites the file that a reader may have open.
func TestKeyringIsReadWhileItChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	ring := GenerateKeyring()
	if err := ring.Save(path); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() {
		defer close(over)
		for range 50 {
			if err := ring.Save(path); err != nil {
				over <- err
				return
			}
		}
	}()
	for {
		select {
		case err := <-over:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
			if _, err := LoadKeyring(path); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	ring := GenerateKeyring()
	acct, _, err := ring.NewAccountKey(rookery.NewAccountID())
	if err != nil {
		t.Fatal(err)
	}
	key := MessageKey(bytes.Repeat([]byte{0xab}, 32))
	var b bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{} // its digits are not the keys'
		}
		return a
	}}))
	log.Info("x", "ring", ring, "account", acct, "message", key)
	for _, v := range []any{ring, acct, key, &key, struct{ K MessageKey }{key}} {
		fmt.Fprintf(&b, "%v %+v %#v %s %x %d\n", v, v, v, v, v, v)
	}
	j, _ := json.Marshal(struct{ K MessageKey }{key})
	b.Write(j)
	secret, _ := ring.key(1)
	for _, form := range []string{"171", "abab", "0xab", "q6ur", fmt.Sprintf("%x", secret[:4]), fmt.Sprint(secret[:4])[1:]} {
		if strings.Contains(b.String(), form) {
			t.Errorf("%q shows in %s", form, b.String())
		}
	}
}
