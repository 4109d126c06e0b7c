package scenario

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"rookery/test/harness"
)

// upgrading is what rookery upgrade status --json prints.
type upgrading struct {
	Nodes []struct {
		Name    string `json:"name"`
		Version uint32 `json:"version"`
	} `json:"nodes"`
	Gate     uint32   `json:"gate"`
	Next     uint32   `json:"next"`
	Behind   []string `json:"behind"`
	Rollback bool     `json:"rollback_possible"`
}

func (o operator) upgrade() (u upgrading, code int) {
	o.t.Helper()
	out, code := o.run("upgrade", "status", "--json")
	if err := json.Unmarshal([]byte(out), &u); err != nil {
		o.t.Fatalf("upgrade status: exit code %d: %v\n%s", code, err, out)
	}
	slices.Sort(u.Behind)
	return u, code
}

// Three nodes get the next binary one after the other while mail flows; one
// goes back and forth. Finalising is refused while one is behind, and an old
// binary is refused after it. Nothing is lost or doubled.
func TestRollingUpgrade(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts three processes, twice built")
	}
	old, next := harness.Binary(t), harness.Next(t)
	d := harness.StartUpgradable(t, t.TempDir(), 3)
	o := operator{t, d, "node1"}
	l := startLoad(t, d, d.Facts.Nodes...)
	defer l.stop()
	replace := func(name, binary string) {
		t.Helper()
		l.more("before " + name + " stops")
		must(t, d.StopNode(name))
		l.more("while " + name + " is stopped")
		must(t, d.Install(binary))
		must(t, d.StartNode(name))
		o.until(time.Minute, name+" serves again", func(s status) bool { return s.alive(name) && s.whole() })
	}
	begun, code := o.upgrade()
	if code != 0 || begun.Rollback || begun.Gate != begun.Next || len(begun.Behind) > 0 {
		t.Fatalf("before the upgrade: exit code %d, %+v", code, begun)
	}
	was := begun.Gate
	// stands checks how far the upgrade is, and that it is not final.
	stands := func(when string, behind ...string) {
		t.Helper()
		u, code := o.upgrade()
		wantCode := 0
		if len(behind) > 0 {
			wantCode = 1
		}
		if code != wantCode || !u.Rollback || u.Gate != was || u.Next != was+1 || !slices.Equal(u.Behind, behind) {
			t.Errorf("%s: exit code %d, %+v", when, code, u)
		}
	}
	// refused checks that a node does not finalise while others are behind.
	refused := func(at, behind string) {
		t.Helper()
		out, code := operator{t, d, at}.run("upgrade", "finalize", "--json")
		if code != 4 || !strings.Contains(out, behind) || !strings.Contains(out, `"code":4`) {
			t.Errorf("finalize at %s while %s is behind: exit code %d: %s", at, behind, code, out)
		}
	}

	replace("node3", next)
	stands("one node is new", "node1", "node2")
	refused("node3", "node1")
	refused("node1", "node1") // a node that reads less finalises no less
	replace("node2", next)
	stands("two nodes are new", "node1")
	replace("node1", next)
	stands("all are new")
	replace("node2", old)
	stands("one went back", "node2")
	refused("node1", "node2")
	replace("node2", next)
	stands("it is new again")

	if out, code := o.run("upgrade", "finalize", "--json"); code != 0 {
		t.Fatalf("finalize: exit code %d: %s", code, out)
	}
	if u, code := o.upgrade(); code != 0 || u.Rollback || u.Gate != was+1 {
		t.Errorf("finalised: exit code %d, %+v", code, u)
	}
	must(t, d.StopNode("node3"))
	refuses(t, d, old, "node3")
	l.more("after an old binary was refused")
	must(t, d.StartNode("node3"))
	l.more("after the upgrade")
	l.stop()
	t.Logf("%d messages sent, %d acknowledged", len(l.acknowledged), l.count())
	for _, u := range d.Facts.Users {
		filed(t, d, u, l.acknowledged)
	}

	// The old binary is refused as well where no majority tells it.
	must(t, d.StopNode("node1"))
	must(t, d.StopNode("node2"))
	refuses(t, d, old, "node1")
	must(t, d.StartNode("node1"))
	must(t, d.StartNode("node2"))
	for _, u := range d.Facts.Users {
		filed(t, d, u, l.acknowledged)
	}
}

// refuses starts a node with a binary that must not run any more.
func refuses(t *testing.T, d *harness.Dev, binary, name string) {
	t.Helper()
	cmd := exec.Command(binary, "serve", "-config", filepath.Join(d.Dir, name, "rookery.toml"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	timer := time.AfterFunc(harness.Patience(time.Minute), func() { cmd.Process.Kill() })
	defer timer.Stop()
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), "start this node with the newer binary") {
		t.Errorf("an old binary on %s ended with exit code %d:\n%.2000s", name, code, out)
	}
}
