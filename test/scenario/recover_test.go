package scenario

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rookery/test/harness"
)

// Three of five nodes are lost and the two others recovered. Two of the lost
// are a majority of what was: started together beside the recovered they are
// both refused, and no mail is lost.
func TestRecoverTwoOfFive(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts five processes")
	}
	d := harness.StartCluster(t, t.TempDir(), 5)
	o := operator{t, d, "node1"}
	before := startLoad(t, d, d.Facts.Nodes...)
	before.more("at the beginning")
	before.stop()
	for _, u := range d.Facts.Users {
		filed(t, d, u, before.acknowledged)
	}
	survivors, ghosts := split(t, o.until(time.Minute, "every group is whole", func(s status) bool { return s.whole() }))
	t.Logf("survivors %v, majority of the dead %v", survivors, ghosts)
	for _, n := range d.Facts.Nodes {
		if !slices.Contains(survivors, n.Name) {
			must(t, d.KillNode(n.Name))
		}
	}
	var reports []string
	for _, name := range survivors {
		must(t, d.KillNode(name))
		path := filepath.Join(d.Dir, name+".json")
		out, code := operator{t, d, name}.run("recover", "inspect", "--json")
		if code != 0 {
			t.Fatalf("inspect %s: exit code %d: %s", name, code, out)
		}
		must(t, os.WriteFile(path, []byte(out), 0o600))
		reports = append(reports, path)
	}
	for _, name := range survivors {
		args := append([]string{"recover", "apply", "-yes", "-data", filepath.Join(d.Dir, name)}, reports...)
		operate(t, args...)
	}
	var alive []harness.Node
	for _, n := range d.Facts.Nodes {
		if slices.Contains(survivors, n.Name) {
			must(t, d.StartNode(n.Name))
			alive = append(alive, n)
		}
	}
	after := startLoad(t, d, alive...)
	defer after.stop()
	after.more("after the recovery")
	// The dead know the settings key: a new one is for the survivors alone.
	key := settles(t, d, time.Minute, 1, survivors...)
	var together sync.WaitGroup
	for _, name := range ghosts {
		together.Go(func() { removed(t, d, name) })
	}
	together.Wait()
	after.more("after the dead were refused")
	for _, name := range ghosts {
		for v, print := range ring(t, d, name) {
			if key[v] == print {
				t.Errorf("%s, which is removed, knows the new settings key", name)
			}
		}
	}
	after.stop()
	d.Facts.Nodes = alive // mail is read there
	for _, u := range d.Facts.Users {
		filed(t, d, u, before.acknowledged)
		filed(t, d, u, after.acknowledged)
	}
}

// split chooses two survivors that hold a copy of every group between them,
// so that two others are a majority of one.
func split(t *testing.T, st status) (survivors, ghosts []string) {
	t.Helper()
	var names []string
	for _, n := range st.Nodes {
		names = append(names, n.Name)
	}
	for i, a := range names {
		for _, b := range names[i+1:] {
			whole := true
			ghosts = nil
			for _, g := range st.Groups {
				rest := slices.DeleteFunc(slices.Clone(g.Members), func(m string) bool { return m == a || m == b })
				whole = whole && len(rest) < 3
				if len(rest) == 2 {
					ghosts = rest
				}
			}
			if whole && ghosts != nil {
				return []string{a, b}, ghosts
			}
		}
	}
	t.Fatalf("no two nodes hold a copy of every group and no majority: %+v", st.Groups)
	return nil, nil
}

// removed starts a dead node with its old disk: it hears that it is removed.
func removed(t *testing.T, d *harness.Dev, name string) {
	if out, code := (operator{t, d, name}).serveOnce(); code != 7 || !strings.Contains(out, "removed from the cluster") {
		t.Errorf("%s came back and ended with exit code %d:\n%.2000s", name, code, out)
	}
}

// serveOnce runs a node that ends by itself, for at most a minute.
func (o operator) serveOnce() (said string, code int) {
	cmd := exec.Command(harness.Binary(o.t), "serve", "-config", filepath.Join(o.dev.Dir, o.at, "rookery.toml"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	if err := cmd.Start(); err != nil {
		o.t.Error(err)
		return "", -1
	}
	timer := time.AfterFunc(harness.Patience(time.Minute), func() { cmd.Process.Kill() })
	defer timer.Stop()
	cmd.Wait()
	return text.String(), cmd.ProcessState.ExitCode()
}
