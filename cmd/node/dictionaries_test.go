package node

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/storage/blob"
	"rookery/storage/blob/dir"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/dictionary"
)

// bookNode is a node with no more than its dictionaries need: a state, keys and
// an object store. There is nobody to ask for a barrier.
func bookNode(t *testing.T, ring *body.Keyring, store blob.Store, cmds ...command.Command) *Node {
	t.Helper()
	c := settings.DefaultCompression()
	n := &Node{groups: &groups{system: registry(t, cmds...)}, tenant: &tenantRing{ring: ring}, bodies: &bodies{store: new(liveStore)}, jobs: t.Context()}
	n.bodies.store.use(store, settings.Store{})
	n.deps.Logger = slog.New(slog.DiscardHandler)
	n.road = newRoad(identity{Node: "me"}, time.Now, nil)
	n.compression.Store(&c)
	n.dicts = newDictionaries(n)
	return n
}

// trainedFor is a small dictionary.
func trainedFor(t *testing.T, id uint32) []byte {
	t.Helper()
	var samples []dictionary.Sample
	for i := range 30 {
		samples = append(samples, dictionary.Sample{Text: fmt.Appendf(nil, "From: office@example.test\r\nSubject: form %d of the archive\r\n\r\nPlease sign form %d and return it.\r\n", i, i*i)})
	}
	b, err := dictionary.Format(id, bytes.Repeat([]byte("From: office@example.test\r\nSubject: form of the archive\r\n\r\nPlease sign and return it.\r\n"), 2), samples)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDictionariesWaitForTheGate: while a node might read version 3 only,
// nothing is compressed with a dictionary, not even the one of the program.
func TestDictionariesWaitForTheGate(t *testing.T) {
	ring := body.GenerateKeyring()
	sealed, err := ring.SealDictionary(trainedFor(t, 16))
	if err != nil {
		t.Fatal(err)
	}
	me, old := &command.RegisterNode{Node: "me", Version: 4}, &command.RegisterNode{Node: "old", Version: 3}
	add := &command.AddDictionary{ID: 16, Sealed: sealed, Key: 1}
	adopt := &command.AdoptDictionary{ID: 16, Nodes: []rookery.NodeID{"me", "old"}}
	final := func(v uint32) command.Command { return &command.FinalizeVersion{Version: v} }
	for _, c := range []struct {
		name string
		cmds []command.Command
		use  string
		want rookery.DictionaryID
	}{
		{"no version is final", []command.Command{me}, settings.UseSite, 0},
		{"version 3 is final, and a node reads no more", []command.Command{me, old, final(3)}, settings.UseSite, 0},
		{"version 4 is final", []command.Command{me, final(4)}, settings.UseSite, dictionary.Generic},
		{"one is trained", []command.Command{me, final(4), add}, settings.UseSite, dictionary.Generic},
		{"one is adopted", []command.Command{me, final(4), add, adopt}, settings.UseSite, 16},
		{"one is adopted and not wanted", []command.Command{me, final(4), add, adopt}, settings.UseGeneric, dictionary.Generic},
		{"none is wanted", []command.Command{me, final(4), add, adopt}, settings.UseNone, 0},
		{"one is adopted, and before the gate", []command.Command{me, old, final(3), add, adopt}, settings.UseSite, 0},
	} {
		n := bookNode(t, ring, nil, c.cmds...)
		n.compression.Store(&settings.Compression{Dictionaries: c.use, SharedBy: 5, TrainDays: 7})
		n.dicts.refresh()
		if got := n.dicts.Current().ID(); got != c.want {
			t.Errorf("%s: new mail is compressed with dictionary %d, not %d", c.name, got, c.want)
		}
	}
	// A site's dictionary that this node has no key for is no reason to stop.
	n := bookNode(t, body.GenerateKeyring(), nil, me, final(4), add, adopt)
	n.dicts.refresh()
	if got := n.dicts.Current().ID(); got != dictionary.Generic {
		t.Errorf("without the key new mail is compressed with dictionary %d", got)
	}
	if err := n.dicts.ready(t.Context(), 16); err == nil {
		t.Error("a node without the key says that it can read")
	}
}

// TestDictionaryFromItsCopy reads old mail where the cluster's state is lost
// and only packs, the copies beside them and the keys are left.
func TestDictionaryFromItsCopy(t *testing.T) {
	ring := body.GenerateKeyring()
	store, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := trainedFor(t, 16)
	d, err := body.NewDictionary(b)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := ring.SealDictionary(b)
	if err != nil {
		t.Fatal(err)
	}
	n := bookNode(t, ring, store)
	if _, err := n.dicts.Dictionary(t.Context(), 16); !rookery.Is(err, rookery.KindUnavailable) {
		t.Fatalf("a dictionary that is nowhere: %v", err)
	}
	o, err := dictionary.Copy(t.Context(), store, 16, sealed)
	if err != nil {
		t.Fatal(err)
	}
	msg, key := []byte("From: office@example.test\r\n\r\nPlease sign and return it.\r\n"), body.NewMessageKey()
	var stored []byte
	enc, err := body.EncodeWith(t.Context(), bytes.NewReader(msg), key, d, func(c []byte) error { stored = append(stored, c...); return nil })
	if err != nil {
		t.Fatal(err)
	}
	found, err := n.dicts.Dictionary(t.Context(), enc.Layout.Dictionary)
	if err != nil {
		t.Fatal(err)
	}
	at := func(_ context.Context, p []byte, off int64) error { copy(p, stored[off:]); return nil }
	if err := body.NewReaderWith(enc.Layout, key, found, body.Only(at)).Verify(t.Context()); err != nil {
		t.Error(err)
	}
	// The next one trained here must not take the number.
	if next, err := n.dicts.next(t.Context()); err != nil || next != 17 {
		t.Errorf("the next dictionary is %d: %v", next, err)
	}
	// A copy under a name that is not its own is none; nor is one cut short.
	for _, content := range [][]byte{append([]byte("RKDICT1\n\x00\x00\x00\x11"), sealed...), []byte("RKDICT1"), nil} {
		if err := store.Put(t.Context(), o.Key, bytes.NewReader(content), int64(len(content)), blob.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		other := bookNode(t, ring, store)
		if _, err := other.dicts.Dictionary(t.Context(), 16); !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("a bad copy of %d bytes: %v", len(content), err)
		}
	}
}

// TestCompressionKeysWaitForTheGate keeps the keys out of the settings while a
// binary reads them that does not know them.
func TestCompressionKeysWaitForTheGate(t *testing.T) {
	me := &command.RegisterNode{Node: "me", Version: 4}
	own := settings.Compression{Dictionaries: settings.UseGeneric, SharedBy: 5, TrainDays: 7}
	if err := omitDefault(&own, registry(t, me)); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("before the gate: %v", err)
	}
	if err := omitDefault(&own, registry(t, me, &command.FinalizeVersion{Version: 4})); err != nil || own.Dictionaries != settings.UseGeneric {
		t.Errorf("behind the gate: %v", err)
	}
	s := settings.Default()
	if err := omitDefault(&s.Compression, registry(t, me)); err != nil {
		t.Fatal(err)
	}
	doc, err := s.Document()
	if err != nil || bytes.Contains(doc, []byte("compression")) {
		t.Errorf("the defaults are in the document: %v", err)
	}
	back, err := settings.Parse(doc)
	if err != nil || back.Compression != settings.DefaultCompression() {
		t.Errorf("read back as %+v: %v", back.Compression, err)
	}
}
