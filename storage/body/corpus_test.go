package body

import (
	"bytes"
	"context"
	"reflect"
	"testing"

	"rookery/storage/keys"
	"rookery/storage/message"
	"rookery/test/corpus"
)

func TestCorpus(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	ctx := context.Background()
	var n, size, stored, sealed, trailing int
	for _, m := range corpus.Messages(t) {
		path, msg := m.Name, m.Text
		key := keys.NewMessageKey()
		layout, encoded, enc := encodeBytes(t, msg, key)
		e := enc.Extract
		n, size, stored, sealed = n+1, size+len(msg), stored+len(encoded), sealed+len(enc.Sealed)
		r := NewReader(layout, key, fromBytes(encoded))
		back, err := r.ReadSection(ctx, message.Section{Offset: 0, Len: enc.Size})
		if err != nil || !bytes.Equal(back, msg) {
			t.Errorf("%s does not read back: %v", path, err)
		}
		opened := e
		if enc.Trailing {
			trailing++
			opened, err = r.Extract(ctx)
		} else {
			opened, err = Open(enc.Sealed, key)
		}
		if err != nil || !reflect.DeepEqual(e, opened) {
			t.Errorf("%s: the extract does not open: %v", path, err)
		}
		r.Close()
	}
	t.Logf("%d messages of %d bytes, stored %d (%.2fx), extracts %d, trailing %d", n, size, stored, float64(size)/float64(stored),
		sealed, trailing)
}
