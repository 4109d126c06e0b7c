package node

import (
	"slices"
	"testing"

	"rookery/cmd/node/settings"
)

// TestDirectoriesOutliveOtherSettings: connections and what is remembered,
// refusals too, stay where only others change.
func TestDirectoriesOutliveOtherSettings(t *testing.T) {
	n, _, _ := oneNode(t)
	err := n.store(t, func(s *settings.Cluster) {
		d := s.Directories["main"]
		d.ID, d.UserFilter = "", "(uid=nobody)"
		s.Directories["more"] = d
	})
	if err != nil {
		t.Fatal(err)
	}
	n.entry(t, login(0))
	was := slices.Clone(n.people.Opened()) // main, more
	n.entry(t, login(0))
	if hits, _ := was[1].Cache.Stats(); hits == 0 {
		t.Fatal("the refusal is not remembered")
	}
	if err := n.store(t, func(s *settings.Cluster) { s.Limits.Quota = 12345 }); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(n.people.Opened(), was) {
		t.Error("an unrelated setting opened directories anew")
	}
	stats := n.people.Stats()
	err = n.store(t, func(s *settings.Cluster) {
		d := s.Directories["more"]
		d.Timeout = "7s"
		s.Directories["more"] = d
	})
	if err != nil {
		t.Fatal(err)
	}
	now := n.people.Opened()
	if now[0] != was[0] || now[1] == was[1] {
		t.Errorf("a setting of one directory: kept %v and %v", now[0] == was[0], now[1] == was[1])
	}
	if after := n.people.Stats(); after.Hits != stats.Hits || after.Misses != stats.Misses {
		t.Errorf("counters went from %+v to %+v", stats, after)
	}
}
