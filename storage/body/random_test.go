package body

import (
	"context"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rookery/storage/keys"
	"rookery/storage/message"
	"rookery/storage/message/messagetest"
)

// Extracts of messages that are broken in every way open as they were sealed.
func TestRandomExtractsOpen(t *testing.T) {
	runs := 12_000
	if testing.Short() {
		runs = 3_000
	}
	rnd := rand.New(rand.NewPCG(7, 8))
	key := keys.MessageKey{3}
	for range runs {
		msg := messagetest.Random(rnd)
		if _, err := Open(Seal(extractText(t, msg), key), key); err != nil {
			t.Fatalf("%v\nmessage: %q", err, msg)
		}
	}
}

// An extract with the most parts opens as it was sealed.
func TestLargeExtractOpens(t *testing.T) {
	e := extractText(t, "Content-Type: multipart/mixed; boundary=b\r\n\r\n"+strings.Repeat("--b\r\n\r\nx\r\n", 3*message.MaxParts)+"--b--\r\n")
	back, err := Open(Seal(e, keys.MessageKey{}), keys.MessageKey{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, back); diff != "" {
		t.Error(diff)
	}
}

// TestHostileExtracts holds the cost of extracting, sealing and opening what is
// made to cost much against the message's size.
func TestHostileExtracts(t *testing.T) {
	for name, r := range messagetest.Hostile(8 << 20) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		e, err := ExtractFrom(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		sealed := Seal(e, keys.MessageKey{})
		if _, err := Open(sealed, keys.MessageKey{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		runtime.ReadMemStats(&after)
		took, cost := time.Since(began), after.TotalAlloc-before.TotalAlloc
		t.Logf("%-18s %8v, %4d MiB allocated, sealed %d bytes", name, took.Round(time.Millisecond), cost>>20, len(sealed))
		if cost > 160<<20 || took > 3*time.Minute {
			t.Errorf("%s costs too much", name)
		}
	}
}
