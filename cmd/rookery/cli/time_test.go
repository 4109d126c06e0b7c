package cli

import (
	"errors"
	"testing"
	"time"
)

func TestHoldTimes(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "72h": now.Add(-72 * time.Hour), "-72h": now.Add(-72 * time.Hour), "-3d": now.Add(-72 * time.Hour),
		"2025-01-31":           time.Date(2025, 1, 31, 0, 0, 0, 0, time.UTC),
		"2026-11-25T08:00:00Z": time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC),
	} {
		if got, err := ParseTime("since", text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
	for _, bad := range []string{"yesterday", "--3h", "31.1.2025"} {
		if _, err := ParseTime("since", bad, now); !errors.As(err, new(UsageError)) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
