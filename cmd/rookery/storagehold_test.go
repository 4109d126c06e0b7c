package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"rookery/cmd/node/adminapi"
	"rookery/storage/mailbox"
)

func TestHoldTimes(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "72h": now.Add(-72 * time.Hour), "2025-01-31": time.Date(2025, 1, 31, 0, 0, 0, 0, time.UTC),
		"2026-11-25T08:00:00Z": time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC),
	} {
		if got, err := holdTime("since", text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
	for _, bad := range []string{"yesterday", "-3h", "31.1.2025"} {
		if _, err := holdTime("since", bad, now); !errors.As(err, new(usageError)) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestStatusSumsWhatIsStored(t *testing.T) {
	var b bytes.Buffer
	printStored(&b, adminapi.Status{Groups: []adminapi.GroupStatus{
		{Group: 1}, {Group: 2, Stored: &mailbox.PackTotals{Packs: 3, Live: 5 << 20, Dead: 1, DeadBytes: 4 << 20, Deletable: 1 << 20}},
		{Group: 3, Stored: &mailbox.PackTotals{Packs: 1, Live: 1 << 20, Waste: 2 << 20}}, {Group: 4},
	}, Swept: &adminapi.SweepStatus{Time: time.Unix(0, 0).UTC(), Objects: 7, Bytes: 2048}})
	for _, want := range []string{"4 packs, 6 MiB needed, 2 MiB waste", "1 dead packs, 4 MiB, 1 MiB deletable",
		"(1 groups without", "7 orphans, 2 KiB deleted"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q lacks %q", b.String(), want)
		}
	}
}
