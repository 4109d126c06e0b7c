package body

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/keys"
	"rookery/storage/message"
	"rookery/storage/message/messagetest"
)

// fixture is everything that is stored of a message, with its keys.
type fixture struct {
	Tenant  [32]byte
	Account rookery.AccountID
	Email   rookery.EmailID
	Wrapped struct{ Account, Message []byte }
	Layout  []byte
	Stored  []byte
	Sealed  []byte
	Token   [8]byte
	Message []byte
}

// TestStoredFormats reads what earlier programs stored. A file is never
// changed; a new format adds one (ROOKERY_FIXTURE names it, once).
func TestStoredFormats(t *testing.T) {
	if path := os.Getenv("ROOKERY_FIXTURE"); path != "" {
		writeFixture(t, path)
	}
	files, err := filepath.Glob("testdata/stored-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var f fixture
		if err := json.Unmarshal(data, &f); err != nil {
			t.Fatal(err)
		}
		ring := ringOf(t, f.Tenant)
		acct, err := ring.OpenAccount(f.Account, f.Wrapped.Account)
		if err != nil {
			t.Fatal(err)
		}
		key, err := acct.UnwrapMessage(f.Email, f.Wrapped.Message)
		if err != nil {
			t.Fatal(err)
		}
		var layout Layout
		if err := layout.UnmarshalBinary(f.Layout); err != nil {
			t.Fatal(err)
		}
		r := NewReader(layout, key, fromBytes(f.Stored))
		if err := r.Verify(context.Background()); err != nil {
			t.Error(err)
		}
		msg, err := r.ReadSection(context.Background(), message.Section{Offset: 0, Len: r.Size()})
		if err != nil || !bytes.Equal(msg, f.Message) {
			t.Errorf("%s: the body differs: %v", file, err)
		}
		e, err := Open(f.Sealed, key)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(extractText(t, string(msg)), e); diff != "" && e.Version == message.ExtractVersion {
			t.Errorf("%s: a message's extract is not what was stored: %s", file, diff)
		}
		if e.Envelope.From[0].Mailbox != "alice" || len(e.Structure.Parts) != 2 || acct.ThreadToken(keys.TokenMessageID, e.MessageID) != f.Token {
			t.Errorf("%s: the extract differs: %+v", file, e)
		}
	}
}

// ringOf is a keyring with one key, version 1.
func ringOf(t *testing.T, secret [32]byte) *keys.Keyring {
	t.Helper()
	var ring keys.Keyring
	key, err := keys.ParseTenantKey(1, secret[:])
	if err == nil {
		err = ring.Add(key)
	}
	if err == nil {
		err = ring.Use(1)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &ring
}

func writeFixture(t *testing.T, path string) {
	ring := keys.GenerateKeyring()
	f := fixture{Account: rookery.NewAccountID(), Email: rookery.NewEmailID(), Message: messagetest.Sample(2 << 10)}
	tenant, _ := ring.Tenant(1)
	f.Tenant = [32]byte(tenant.Secret())
	acct, wrapped, err := ring.NewAccountKey(f.Account)
	if err != nil {
		t.Fatal(err)
	}
	key := keys.NewMessageKey()
	layout, stored, enc := encodeBytes(t, f.Message, key)
	f.Wrapped.Account, f.Wrapped.Message = wrapped, acct.WrapMessage(f.Email, key)
	f.Layout, _ = layout.MarshalBinary()
	f.Stored, f.Sealed, f.Token = stored, enc.Sealed, acct.ThreadToken(keys.TokenMessageID, enc.Extract.MessageID)
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
