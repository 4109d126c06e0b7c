package main

import (
	"fmt"
	"io"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
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
	fmt.Fprintf(w, "store: %d packs, %d MiB needed, %d MiB waste in them; %d dead packs, %d MiB, %d MiB deletable", t.Packs,
		t.Live>>20, t.Waste>>20, t.Dead, t.DeadBytes>>20, t.Deletable>>20)
	if unknown > 0 {
		fmt.Fprintf(w, " (%d groups without a replica here are not counted)", unknown)
	}
	fmt.Fprintln(w)
	if st.Swept != nil {
		fmt.Fprintf(w, "last swept %s: %d orphans, %d KiB deleted\n", st.Swept.Time.Format(time.RFC3339), st.Swept.Objects, st.Swept.Bytes>>10)
	}
}
