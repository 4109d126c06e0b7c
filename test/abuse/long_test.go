package abuse

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"rookery/test/harness"
)

// TestLongCommands has commands that cost as much computing as one line of
// input can ask for. Each must end in a bounded time, and none may keep the node
// from stopping.
func TestLongCommands(t *testing.T) {
	if os.Getenv("ROOKERY_ABUSE_LONG") == "" {
		t.Skip("skipped: IMAP does not bound the computing of LIST and SEARCH yet; ROOKERY_ABUSE_LONG=1 shows it")
	}
	var many, body, header strings.Builder
	for i := range 100 {
		fmt.Fprintf(&many, "%sb%d ", strings.Repeat("*a", 500), i)
	}
	for i := range 999 {
		fmt.Fprintf(&body, "NOT BODY x%d ", i)
		fmt.Fprintf(&header, "NOT HEADER A x%d ", i)
	}
	for name, command := range map[string]string{
		"LIST":          `LIST "" (` + strings.TrimSpace(many.String()) + ")",
		"SEARCH BODY":   "SEARCH 2 " + body.String() + "ALL",
		"SEARCH HEADER": "SEARCH 1 " + header.String() + "ALL",
	} {
		t.Run(name, func(t *testing.T) {
			d := harness.StartDev(t, t.TempDir())
			g := &target{node: d.Node(), tls: d.TLS(t), users: d.Facts.Users, pid: d.Node().PID}
			empty(t, g, 0)
			g.deliver(t, 0, []byte(strings.Repeat("A:b\r\n", 200_000)+"\r\nbody\r\n"), "250")
			g.deliver(t, 0, large(20<<20), "250")
			c := g.imap(t, 0)
			for i := range 1000 {
				c.cmd(fmt.Sprintf("m CREATE %s%d", strings.Repeat(strings.Repeat("a", 240)+"/", 3), 10_000+i), "m OK")
			}
			c.cmd("s SELECT INBOX", "s OK")
			c.send("a " + command + "\r\n")
			g.alive(t)
			c.until("a ", "a ") // within the client's patience
			c = g.imap(t, 0)
			c.cmd("s SELECT INBOX", "s OK")
			c.send("a " + command + "\r\n")
			began := time.Now()
			if err := d.Stop(); err != nil || time.Since(began) > 45*time.Second {
				t.Errorf("stopping under it took %v: %v", time.Since(began), err)
			}
		})
	}
}
