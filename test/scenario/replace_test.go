package scenario

import (
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rookery/test/harness"
)

// status is what these tests read of rookery status --json.
type status struct {
	Nodes []struct {
		Name     string     `json:"name"`
		State    string     `json:"state"`
		Alive    bool       `json:"alive"`
		Since    *time.Time `json:"dead_since"`
		Leads    int        `json:"leads"`
		Holds    int        `json:"holds"`
		Sessions int        `json:"sessions"`
		Disk     string     `json:"disk"`
	} `json:"nodes"`
	Groups []struct {
		Group   int      `json:"group"`
		Leader  string   `json:"leader"`
		Members []string `json:"members"`
		Bodies  int      `json:"unpacked_bodies"`
		Oldest  int64    `json:"oldest_unpacked_seconds"`
	} `json:"groups"`
	Problems []string `json:"problems"`
}

// operator runs verbs against one node of a cluster.
type operator struct {
	t   *testing.T
	dev *harness.Dev
	at  string
}

func (o operator) run(args ...string) (out string, code int) {
	o.t.Helper()
	cmd := exec.Command(harness.Binary(o.t), append(args, "-data", filepath.Join(o.dev.Dir, o.at))...)
	b, err := cmd.Output()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		o.t.Fatal(err)
	} else if exited && len(b) == 0 {
		b = err.(*exec.ExitError).Stderr
	}
	return string(b), cmd.ProcessState.ExitCode()
}

// until polls the status until it is as wanted.
func (o operator) until(within time.Duration, what string, ok func(status) bool) status {
	o.t.Helper()
	var st status
	var out string
	ctx, cancel := context.WithTimeout(o.t.Context(), harness.Patience(within))
	defer cancel()
	err := harness.Poll(ctx, func() (bool, error) {
		out, _ = o.run("status", "--json")
		st = status{}
		return json.Unmarshal([]byte(out), &st) == nil && ok(st), nil
	})
	if err != nil {
		o.t.Fatalf("not within %v: %s\n%s", harness.Patience(within), what, out)
	}
	return st
}

func (s status) alive(name string) bool {
	for _, n := range s.Nodes {
		if n.Name == name {
			return n.Alive
		}
	}
	return false
}

func (s status) problem(parts ...string) bool {
	for _, p := range s.Problems {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(p, part)
		}
		if all {
			return true
		}
	}
	return false
}

// whole reports whether every group has a leader and three members, none of
// them one of the nodes.
func (s status) whole(without ...string) bool {
	for _, g := range s.Groups {
		if g.Leader == "" || len(g.Members) != 3 {
			return false
		}
		for _, m := range g.Members {
			for _, w := range without {
				if m == w {
					return false
				}
			}
		}
	}
	return len(s.Groups) > 0
}

// TestReplaceDrainRemove: of four nodes one dies and is replaced on the spare;
// the next one that dies has no spare, which the status says; back again it is
// drained; a removal that would cost a majority is refused.
func TestReplaceDrainRemove(t *testing.T) {
	d := harness.StartCluster(t, t.TempDir(), 4)
	o := operator{t, d, "node1"}
	if out, code := o.run("config", "set", "replace_after", "6s"); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	o.until(time.Minute, "all live and every group is whole", func(s status) bool {
		return s.whole() && s.alive("node1") && s.alive("node2") && s.alive("node3") && s.alive("node4")
	})

	must(t, d.KillNode("node2"))
	killed := time.Now()
	st := o.until(20*time.Second, "node2 is dead with since when", func(s status) bool {
		return !s.alive("node2") && s.problem("node2 does not answer", "since 20")
	})
	t.Logf("node2 was shown as dead %v after its end; problems: %q", time.Since(killed).Round(10*time.Millisecond), st.Problems)
	o.until(2*time.Minute, "node2 is replaced by the spare", func(s status) bool { return s.whole("node2") })
	t.Logf("replaced after %v", time.Since(killed).Round(time.Second))

	if out, code := o.run("remove", "node2", "-yes"); code != 0 {
		t.Fatalf("remove of a node that was replaced: exit code %d: %s", code, out)
	}
	must(t, d.KillNode("node3"))
	o.until(30*time.Second, "node3 is dead and there is no spare",
		func(s status) bool { return s.problem("node3 cannot be replaced", "join another node") })
	out, code := o.run("remove", "node4", "-yes", "--json")
	if code != 4 || !strings.Contains(out, `"code":4`) || !strings.Contains(out, "majority") {
		t.Errorf("remove below a majority: exit code %d: %s", code, out)
	}
	must(t, d.StartNode("node3"))
	o.until(time.Minute, "node3 lives again", func(s status) bool { return s.alive("node3") && s.whole("node2") })

	out, code = o.run("drain", "node3", "-timeout", "5m")
	if code != 0 || !strings.Contains(out, "leads nothing") {
		t.Errorf("drain: exit code %d: %s", code, out)
	}
	st = o.until(10*time.Second, "node3 leads nothing and drains", func(s status) bool {
		for _, n := range s.Nodes {
			if n.Name == "node3" {
				return n.State == "draining" && n.Leads == 0
			}
		}
		return false
	})
	if out, code := o.run("undrain", "node3", "--json"); code != 0 || !strings.Contains(out, "undrain") {
		t.Errorf("undrain: exit code %d: %s", code, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wholeOfAll reports that every node lives and every group is whole.
func (s status) wholeOfAll() bool {
	for _, n := range s.Nodes {
		if !n.Alive {
			return false
		}
	}
	return s.whole()
}
