package replicas

import (
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/system"
)

// TestNextCommandWaits: what the next version brings is not proposed before that
// version is final; what is known already is.
func TestNextCommandWaits(t *testing.T) {
	next := command.Row{Name: "Next", Since: command.Version + 1}
	for gate, refused := range map[uint32]bool{0: true, command.Version: true, command.Version + 1: false} {
		if err := refuseAbove(next, gate); rookery.Is(err, rookery.KindUnavailable) != refused {
			t.Errorf("with version %d final: %v", gate, err)
		}
	}
	s, err := state.Open("state", vfs.NewMem(), state.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := new(Replicas)
	if _, err := s.Group(rookery.SystemGroup,
		func(g *state.Group) state.Machine { r.system = system.New(nil)(g); return r.system }); err != nil {
		t.Fatal(err)
	}
	for _, row := range command.Rows() {
		if err := r.Proposable([]byte{byte(row.Type)}); err != nil {
			t.Errorf("%s: %v", row.Name, err)
		}
	}
}
