package message

import (
	"runtime"
	"testing"
	"time"

	"rookery/storage/message/messagetest"
)

// TestHostileMessages extracts what is made to cost much, and holds the cost
// against the message's size.
func TestHostileMessages(t *testing.T) {
	for name, r := range messagetest.Hostile(8 << 20) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		if _, err := extractFrom(r); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		took, cost := time.Since(began), after.TotalAlloc-before.TotalAlloc
		t.Logf("%-18s %8v, %4d MiB allocated", name, took.Round(time.Millisecond), cost>>20)
		if cost > 160<<20 || took > 3*time.Minute {
			t.Errorf("%s costs too much", name)
		}
	}
}
