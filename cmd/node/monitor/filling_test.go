package monitor

import (
	"fmt"
	"strings"
	"testing"

	"rookery/cmd/node/peers"
)

func TestAFillingQueueIsAProblem(t *testing.T) {
	for _, c := range []struct {
		f    peers.Filling
		want string
	}{
		{peers.Filling{Group: 4, Items: 850, Bytes: 1000, MostItems: 1000, MostBytes: 100_000},
			"group 4: its queue for other systems is nearly full: 850 of 1000 messages (85%), 1000 of 100000 bytes (1%); see"},
		{peers.Filling{Group: 4, Items: 8, Bytes: 100_001, MostItems: 1000, MostBytes: 100_000},
			"group 4: its queue for other systems is full, and senders are told to try again (452): 8 of 1000 messages (0%), 100001 of " +
				"100000 bytes (100%); see"},
	} {
		var said []string
		filling([]peers.Filling{c.f}, func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
		if len(said) != 1 || !strings.HasPrefix(said[0], c.want) || !strings.Contains(said[0], "outbound.queue_size") {
			t.Errorf("the status says %q, want %q", said, c.want)
		}
	}
}
