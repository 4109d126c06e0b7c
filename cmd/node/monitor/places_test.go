package monitor

import (
	"fmt"
	"strings"
	"testing"

	"rookery"
	"rookery/cmd/node/peers"
)

func TestScatteredStoresAreNamed(t *testing.T) {
	names := map[rookery.NodeID]string{"a": "mail1", "b": "mail2", "c": "mail3", "d": "mail4"}
	for what, test := range map[string]struct {
		places map[rookery.NodeID]string
		want   string
	}{
		"one place":        {map[rookery.NodeID]string{"a": "x", "b": "x", "c": "x"}, ""},
		"not tried yet":    {map[rookery.NodeID]string{"a": "x", "b": "", "c": "x"}, ""},
		"one has its own":  {map[rookery.NodeID]string{"a": "x", "b": "y", "c": "x"}, "(mail1, mail3 | mail2)"},
		"each has its own": {map[rookery.NodeID]string{"a": "x", "b": "y", "c": "z", "d": ""}, "(mail1 | mail2 | mail3)"},
	} {
		reports := map[rookery.NodeID]peers.Report{}
		for id, p := range test.places {
			reports[id] = peers.Report{Place: p}
		}
		said := ""
		scattered(reports, names, func(format string, args ...any) { said += fmt.Sprintf(format, args...) })
		if (said == "") != (test.want == "") || !strings.Contains(said, test.want) {
			t.Errorf("%s: %q", what, said)
		}
	}
}
