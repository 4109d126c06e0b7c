package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"rookery/cmd/node/adminapi"
	"rookery/storage/mailbox"
)

func TestStatusSumsWhatIsStored(t *testing.T) {
	var b bytes.Buffer
	printStored(&b, adminapi.Status{Groups: []adminapi.GroupStatus{
		{Group: 1}, {Group: 2, Stored: &mailbox.PackTotals{Packs: 3, Live: 5 << 20, Dead: 1, DeadBytes: 4 << 20, Deletable: 1 << 20}},
		{Group: 3, Stored: &mailbox.PackTotals{Packs: 1, Live: 1 << 20, Waste: 2 << 20}}, {Group: 4},
	}, Swept: &adminapi.SweepStatus{Time: time.Unix(0, 0).UTC(), Objects: 7, Bytes: 2048}})
	for _, want := range []string{"4 packs, 6 MiB needed, 2 MiB waste", "1 dead pack, 4 MiB, 1 MiB deletable",
		"(1 group without", "7 orphans, 2 KiB deleted"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q lacks %q", b.String(), want)
		}
	}
}
