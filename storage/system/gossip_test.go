package system

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
)

func TestGossipKeysChangeInOrder(t *testing.T) {
	f := open(t)
	set := func(version uint64, stage command.GossipStage, keys ...string) error {
		t.Helper()
		_, err := f.apply(&command.SetGossipKeys{Version: version, Stage: stage, Keys: keys})
		return err
	}
	refused := func(kind rookery.Kind, err error) {
		t.Helper()
		if !rookery.Is(err, kind) {
			t.Errorf("%v, want %v", err, kind)
		}
	}
	const install, use, settled = command.GossipInstall, command.GossipUse, command.GossipSettled
	if ring, err := f.m.Gossip(); ring.Version != 0 || err != nil {
		t.Fatal(ring, err)
	}
	refused(rookery.KindInvalid, set(0, settled, "a"))
	refused(rookery.KindInvalid, set(0, use, "b", "a"))
	refused(rookery.KindInvalid, set(0, install, "a"))
	refused(rookery.KindInvalid, set(0, install, "a", "a"))
	refused(rookery.KindInvalid, set(0, install, "a", string(make([]byte, command.MaxGossipKey+1))))
	must(set(0, install, "a", "b"))
	refused(rookery.KindConflict, set(0, install, "a", "c"))
	refused(rookery.KindInvalid, set(1, install, "a", "c"))
	refused(rookery.KindInvalid, set(1, settled, "b"))
	refused(rookery.KindInvalid, set(1, use, "a", "b"))
	must(set(1, use, "b", "a"))
	refused(rookery.KindInvalid, set(2, settled, "a"))
	must(set(2, settled, "b"))
	began := func() int64 {
		ring, err := f.m.Gossip()
		must(err)
		return ring.Began
	}
	first := began()
	refused(rookery.KindInvalid, set(3, install, "c", "d")) // the old key must stay readable
	must(set(3, install, "b", "c"))
	if began() <= first {
		t.Error("the second change has begun no later than the first")
	}
	ring, err := f.m.Gossip()
	if d := cmp.Diff(GossipRing{Version: 4, Stage: install, Keys: []string{"b", "c"}, Began: began()}, ring); d != "" || err != nil {
		t.Error(d, err)
	}
}
