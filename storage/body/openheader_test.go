package body

import (
	"bytes"
	"testing"

	"rookery/storage/keys"
	"rookery/storage/message/messagetest"
)

func TestOpenHeader(t *testing.T) {
	key := keys.NewMessageKey()
	for _, truncated := range []bool{false, true} {
		e := extractText(t, string(messagetest.Sample(4<<10)))
		e.HeaderTruncated = truncated
		sealed := Seal(e, key)
		got, err := OpenHeader(sealed, key)
		if err != nil {
			t.Fatal(err)
		}
		// Another one overwrites what the first was read from.
		if _, err := OpenHeader(Seal(extractText(t, "Subject: other\r\n\r\n"), key), key); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Header, e.Header) || got.Size != e.Size || got.HeaderTruncated != truncated || got.Structure == nil {
			t.Errorf("got %d bytes of header, truncated %v", len(got.Header), got.HeaderTruncated)
		}
		sealed[len(sealed)-1] ^= 1
		if _, err := OpenHeader(sealed, key); err == nil {
			t.Error("a damaged extract opens")
		}
	}
}
