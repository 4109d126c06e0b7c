package monitor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rookery/cmd/node/peers"
)

// The status says of a node that clients cannot come in, or will not be able to,
// and what to do.
func TestWhatKeepsClientsOut(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		r    peers.Report
		want string
	}{
		{peers.Report{}, ""},
		{peers.Report{Closed: true}, "does not listen for clients yet"},
		{peers.Report{Certificate: now.Add(-time.Hour).Unix()}, "has expired on"},
		{peers.Report{Certificate: now.Add(13 * 24 * time.Hour).Unix()}, "ends on"},
		{peers.Report{Certificate: now.Add(15 * 24 * time.Hour).Unix()}, ""},
	} {
		var said []string
		clientsKeptOut("node1", &c.r, now, func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
		text := strings.Join(said, "|")
		if c.want == "" && text != "" || !strings.Contains(text, c.want) || text != "" && !strings.HasPrefix(text, "node node1") {
			t.Errorf("%+v: %q, want %q", c.r, text, c.want)
		}
		if strings.Contains(text, "certificate") && !strings.Contains(text, "tls.certificate") {
			t.Errorf("%q has no mend", text)
		}
	}
}
