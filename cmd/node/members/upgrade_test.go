package members

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/replicas"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/system"
)

// registry is a system machine that has applied commands.
func registry(t *testing.T, cmds ...command.Command) *system.Machine {
	t.Helper()
	s, err := state.Open("state", vfs.NewMem(), state.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	var m *system.Machine
	g, err := s.Group(rookery.SystemGroup, func(g *state.Group) state.Machine { m = system.New(nil)(g); return m })
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cmds {
		seq := uint64(i + 1)
		entry := state.Wrap(state.Header{Node: "me", Epoch: 1, Seq: seq, Low: 1, Time: 1}, command.Encode(c))
		out := g.Apply([]rookery.Entry{{Index: rookery.LogIndex(seq), Term: 1, Data: entry}})[0]
		if err := state.ResultError("apply", out); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// TestOldBinaryEnds: a node that hears of a final version above what it reads
// ends by itself and says what to do; at its own version it goes on.
func TestOldBinaryEnds(t *testing.T) {
	old := registry(t, &command.RegisterNode{Node: "me", Version: command.Version}, &command.FinalizeVersion{Version: command.Version})
	if err := replicas.RefuseOld(old); err != nil {
		t.Errorf("at its own version: %v", err)
	}
	above := command.Version + 1
	var ended error
	r := &Registry{
		o:      Options{ID: datadir.Identity{Node: "me"}, End: func(err error) { ended = err }},
		system: registry(t, &command.RegisterNode{Node: "me", Version: above}, &command.FinalizeVersion{Version: above}),
	}
	if err := r.Enlist(t.Context()); !rookery.Is(err, rookery.KindDenied) {
		t.Errorf("enlisted: %v", err)
	}
	if !rookery.Is(ended, rookery.KindDenied) || !strings.Contains(ended.Error(), "newer binary") {
		t.Errorf("it ended with %v", ended)
	}
}
