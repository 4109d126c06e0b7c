package backups

import (
	"io"
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/state"
)

// A restore is found behind more ended ones than a page has.
func TestEveryRestoreOfAGroupIsFound(t *testing.T) {
	store, err := state.Open("state", vfs.NewMem(), state.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		MemTableBytes: 8 << 20, CacheBytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	var m *mailbox.Machine
	g, err := store.Group(2, func(g *state.Group) state.Machine {
		m = mailbox.New(nil)(g)
		return m
	})
	if err != nil {
		t.Fatal(err)
	}
	var entries []rookery.Entry
	propose := func(c command.Command) {
		n := uint64(len(entries) + 1)
		data := state.Wrap(state.Header{Node: "n1", Epoch: 1, Seq: n, Low: n, Time: int64(n)}, command.Encode(c))
		entries = append(entries, rookery.Entry{Index: rookery.LogIndex(n), Term: 1, Data: data})
	}
	const accounts, ended = 110, 9
	for a := range byte(accounts) {
		id := rookery.AccountID{1, a}
		propose(&command.CreateAccount{Account: id, Key: []byte("k")})
		for n := range byte(ended + 1) {
			propose(&command.BeginRestore{Account: id, Job: command.RestoreID{1, n}})
			if n < ended {
				propose(&command.EndRestore{Account: id, Job: command.RestoreID{1, n}, Outcome: command.RestoreDone})
			}
		}
	}
	for _, out := range g.Apply(entries) {
		if err := state.ResultError("apply", out); err != nil {
			t.Fatal(err)
		}
	}
	all, err := restoresOf(m)
	running := map[rookery.AccountID]bool{}
	for _, j := range all {
		if j.Ended == 0 {
			running[j.Account] = true
		}
	}
	if err != nil || len(all) != accounts*(ended+1) || len(running) != accounts {
		t.Errorf("%d restores, those of %d accounts run: %v", len(all), len(running), err)
	}
}
