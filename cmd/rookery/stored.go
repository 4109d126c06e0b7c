package main

import (
	"fmt"
	"io"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/internal/plural"
	"rookery/storage/mailbox"
)

// printStored sums what lies in the object store for the status.
func printStored(w io.Writer, st adminapi.Status) {
	var t mailbox.PackTotals
	unknown := 0
	for _, g := range st.Groups {
		switch {
		case g.Stored != nil:
			t.Packs, t.Live, t.Waste = t.Packs+g.Stored.Packs, t.Live+g.Stored.Live, t.Waste+g.Stored.Waste
			t.Dead, t.DeadBytes, t.Deletable = t.Dead+g.Stored.Dead, t.DeadBytes+g.Stored.DeadBytes, t.Deletable+g.Stored.Deletable
		case g.Group != rookery.SystemGroup:
			unknown++
		}
	}
	fmt.Fprintf(w, "store: %s, %d MiB needed, %d MiB waste in them; %s, %d MiB, %d MiB deletable", plural.Of(t.Packs, "pack"),
		t.Live>>20, t.Waste>>20, plural.Of(t.Dead, "dead pack"), t.DeadBytes>>20, t.Deletable>>20)
	if unknown > 0 {
		fmt.Fprintf(w, " (%s without a replica here %s not counted)", plural.Of(unknown, "group"), plural.Verb(unknown, "is", "are"))
	}
	fmt.Fprintln(w)
	if st.Swept != nil {
		fmt.Fprintf(w, "last swept %s: %s, %d KiB deleted\n", st.Swept.Time.Format(time.RFC3339),
			plural.Of(st.Swept.Objects, "orphan"), st.Swept.Bytes>>10)
	}
}
