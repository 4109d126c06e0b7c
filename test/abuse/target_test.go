package abuse

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"rookery/test/harness"
)

// target is the node under attack.
type target struct {
	node  harness.Node
	tls   *tls.Config
	users []harness.User
	pid   int
}

// attackDev starts a node of its own for one family of attacks.
func attackDev(t *testing.T) *target {
	t.Helper()
	d := harness.StartDev(t, t.TempDir())
	return &target{node: d.Node(), tls: d.TLS(t), users: d.Facts.Users, pid: d.Node().PID}
}

// status reads a field of /proc/PID/status, in bytes.
func (g *target) status(t testing.TB, field string) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.pid))
	if err != nil {
		t.Fatalf("the node is gone: %v", err)
	}
	for line := range bytes.Lines(b) {
		if rest, ok := strings.CutPrefix(string(line), field+":"); ok {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("no %s in /proc/%d/status", field, g.pid)
	return 0
}

// cpu is the time that the node has computed so far, user and system.
func (g *target) cpu(t testing.TB) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", g.pid))
	if err != nil {
		t.Fatalf("the node is gone: %v", err)
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond // in hundredths, proc(5)
}

// under runs an attack and checks that the node's peak of resident memory
// grows by no more than limit bytes and that others are served afterwards.
func (g *target) under(t *testing.T, limit int64, attack func()) {
	t.Helper()
	// 5 sets the peak back to what is resident now.
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", g.pid), []byte("5"), 0); err != nil {
		t.Skipf("skipped: the peak of memory cannot be reset: %v", err)
	}
	before, began := g.status(t, "VmRSS"), time.Now()
	attack()
	took := time.Since(began)
	peak := g.status(t, "VmHWM") - before
	t.Logf("%v, peak %+.1f MiB over %.1f", took.Round(time.Millisecond), mib(peak), mib(before))
	if peak > limit {
		t.Errorf("the attack cost %.1f MiB of memory; the bound is %.1f", mib(peak), mib(limit))
	}
	g.alive(t)
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// alive checks that every protocol serves a well-behaved client.
func (g *target) alive(t *testing.T) {
	t.Helper()
	s := g.smtp(t)
	s.ok("NOOP", "250")
	s.ok("QUIT", "221")
	i := g.imap(t, 2)
	i.cmd("z LOGOUT", "z OK")
	p := g.pop3(t, 2)
	p.ok("QUIT", "+OK")
}
