package scenario

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rookery/storage/pack"
	"rookery/test/harness"
)

// storage runs rookery storage on a node.
func storage(t *testing.T, d *harness.Dev, node string, args ...string) (out, errs string, code int) {
	t.Helper()
	return ordered(t, d, node, append([]string{"storage"}, args...)...)
}

// ordered runs an operator's order on a node.
func ordered(t *testing.T, d *harness.Dev, node string, args ...string) (out, errs string, code int) {
	t.Helper()
	c := exec.Command(harness.Binary(t), append(args, "-data", filepath.Join(d.Dir, node))...)
	var o, e bytes.Buffer
	c.Stdout, c.Stderr = &o, &e
	err := c.Run()
	if err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), c.ProcessState.ExitCode()
}

// Operators hold and sweep through a node that has no replica of some groups;
// where groups have no majority a sweep deletes nothing.
func TestHoldsAndSweepsThroughAnyNode(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts four processes")
	}
	d := harness.StartCluster(t, t.TempDir(), 4)
	for _, u := range d.Facts.Users {
		if err := send(d.Node().SMTP, []string{u.Login}, "Subject: hi\r\n\r\n"+incompressible(3000)); err != nil {
			t.Fatal(err)
		}
	}
	const through = "node4"
	out, errs, code := ordered(t, d, through, "backup", "hold", "add", "case-7", "-reason", "court", "--json")
	if code != 0 || !strings.Contains(out, `"groups":[2,3,4,5]`) {
		t.Errorf("hold add: exit code %d, %s %s", code, out, errs)
	}
	out, errs, code = ordered(t, d, through, "backup", "hold", "list", "--json")
	var list struct {
		Holds []struct {
			Name, Reason    string
			Groups, Missing []int
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 || len(list.Holds) != 1 ||
		len(list.Holds[0].Groups) != 4 || len(list.Holds[0].Missing) != 0 || list.Holds[0].Reason != "court" {
		t.Errorf("hold list: exit code %d, %s %s %v", code, out, errs, err)
	}
	if out, errs, code := ordered(t, d, through, "backup", "hold", "add", "case-8"); code != 2 {
		t.Errorf("without a reason: exit code %d, %s %s", code, out, errs)
	}
	if out, errs, code := ordered(t, d, through, "backup", "unhold", "case-7"); code != 0 {
		t.Errorf("hold release: exit code %d, %s %s", code, out, errs)
	}
	if out, errs, code := ordered(t, d, through, "backup", "unhold", "case-7"); code != 3 {
		t.Errorf("released twice: exit code %d, %s %s", code, out, errs)
	}
	lost := filepath.Join(objectDir(t, d), filepath.FromSlash(pack.Key(3, pack.NewID(time.Now().Add(-48*time.Hour)))))
	if err := os.MkdirAll(filepath.Dir(lost), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lost, []byte("lost"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code = storage(t, d, through, "sweep")
	if code != 0 || !strings.Contains(out, ": 1 orphans") || !strings.Contains(out, filepath.Base(lost)) {
		t.Errorf("sweep: exit code %d, %s %s", code, out, errs)
	}
	for _, name := range []string{"node1", "node2"} {
		if err := d.KillNode(name); err != nil {
			t.Fatal(err)
		}
	}
	if out, errs, code := storage(t, d, through, "sweep", "-delete"); code != 5 {
		t.Errorf("without a majority: exit code %d, %s %s", code, out, errs)
	}
	if _, err := os.Stat(lost); err != nil {
		t.Errorf("deleted in doubt: %v", err)
	}
	for _, name := range []string{"node1", "node2"} {
		if err := d.StartNode(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := harness.Poll(t.Context(), func() (bool, error) {
		out, errs, code = storage(t, d, through, "sweep", "-delete", "--json")
		return code == 0, nil
	}); err != nil || !strings.Contains(out, `"deleted":1`) {
		t.Errorf("sweep -delete: exit code %d, %s %s, %v", code, out, errs, err)
	}
	if _, err := os.Stat(lost); !os.IsNotExist(err) {
		t.Errorf("the orphan is left: %v", err)
	}
}

// objectDir is where the nodes of a cluster on one machine keep objects.
func objectDir(t *testing.T, d *harness.Dev) string {
	t.Helper()
	var dir string
	if err := harness.Poll(t.Context(), func() (bool, error) {
		found, err := filepath.Glob(filepath.Join(d.Dir, "*", ".incoming"))
		for _, x := range found {
			if filepath.Base(filepath.Dir(x)) != "backup" {
				dir = filepath.Dir(x)
			}
		}
		return dir != "", err
	}); err != nil {
		t.Fatal(err)
	}
	return dir
}
