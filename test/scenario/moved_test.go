package scenario

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rookery/test/harness"
)

// When the groups of a node move to others, the sessions it served end with a
// BYE and nothing cut in two; who connects there again is carried to where the
// mail is.
func TestSessionsOfAGroupThatMovesAway(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts five processes")
	}
	d := harness.StartCluster(t, t.TempDir(), 5)
	first := d.Facts.Nodes[0] // it began the cluster, and so holds every group
	idle := map[string]*client{}
	for _, u := range d.Facts.Users {
		c := dial(t, d, first.IMAPS)
		defer c.close()
		c.until("* OK")
		c.send("a LOGIN %s %s\r\nb SELECT INBOX\r\nc IDLE\r\n", u.Login, u.Password)
		c.until("a OK")
		c.until("b OK")
		c.until("+ ")
		if c.err != nil {
			t.Fatal(u.Login, c.err)
		}
		c.conn.SetDeadline(time.Now().Add(2 * time.Minute))
		idle[u.Login] = c
	}
	operate(t, "drain", first.Name, "-data", filepath.Join(d.Dir, first.Name))
	becomes(t, first, "/ready", http.StatusServiceUnavailable, "draining")
	for login, c := range idle {
		if said := c.until("* BYE"); c.err != nil || !strings.Contains(said[len(said)-1], "[UNAVAILABLE]") {
			t.Errorf("%s in IDLE heard %q: %v", login, said, c.err)
		}
	}
	for _, u := range d.Facts.Users {
		if err := useMailbox(t, d, first, d.Facts.Nodes[1], u); err != nil {
			t.Errorf("%s through the drained node: %v", u.Login, err)
		}
		if err := maildrop(t, d, first, u); err != nil {
			t.Errorf("%s through the drained node: %v", u.Login, err)
		}
	}
}
