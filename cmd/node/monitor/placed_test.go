package monitor

import (
	"fmt"
	"strings"
	"testing"

	"rookery"
	"rookery/storage/system"
)

func TestStatusTellsOfGroupsThatHaveNotBegun(t *testing.T) {
	names := map[rookery.NodeID]string{"id": "bee"}
	for name, c := range map[string]struct {
		p    system.GroupPlacement
		want []string
	}{
		"waits": {system.GroupPlacement{Group: 6, Founder: "id"}, []string{"group 6", "node bee", "rookery remove bee", "rookery group add"}},
		"begun": {system.GroupPlacement{Group: 6, Founder: "id", Voters: []rookery.NodeID{"x"}}, nil},
		"first": {system.GroupPlacement{Group: 2}, nil},
		"void": {system.GroupPlacement{Group: 6, Founder: "id", Void: true},
			[]string{"group 6 will never begin", "bee", "rookery group add"}},
		"replaced": {system.GroupPlacement{Group: 6, Founder: "id", Void: true, Instead: 7}, nil},
	} {
		var said string
		notBegun(c.p, names, func(format string, args ...any) { said += fmt.Sprintf(format, args...) })
		if (said != "") != (c.want != nil) {
			t.Errorf("%s: %q", name, said)
		}
		for _, w := range c.want {
			if !strings.Contains(said, w) {
				t.Errorf("%s: %q lacks %q", name, said, w)
			}
		}
	}
}
