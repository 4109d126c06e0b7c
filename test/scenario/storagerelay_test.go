package scenario

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"rookery/test/harness"
)

// A node without a replica of some groups has others check them.
func TestStorageCheckAsksOtherNodes(t *testing.T) {
	d := harness.StartCluster(t, t.TempDir(), 4)
	for _, u := range d.Facts.Users {
		if err := send(d.Node().SMTP, []string{u.Login}, "Subject: hi\r\n\r\n"+incompressible(3000)); err != nil {
			t.Fatal(err)
		}
	}
	status := func(node string) (groups []struct {
		Group    uint32
		Members  []string
		Unpacked int `json:"unpacked_bodies"`
	}) {
		out, _ := exec.Command(harness.Binary(t), "status", "-data", filepath.Join(d.Dir, node), "--json").Output()
		var st struct{ Groups any }
		st.Groups = &groups
		if err := json.Unmarshal(out, &st); err != nil {
			t.Fatal(err)
		}
		return groups
	}
	elsewhere := ""
	err := harness.Poll(t.Context(), func() (bool, error) {
		for k := range 4 {
			name := fmt.Sprintf("node%d", k+1)
			for _, g := range status(name) {
				if g.Unpacked > 0 {
					return false, nil
				}
				here := false
				for _, m := range g.Members {
					here = here || m == name
				}
				if !here && g.Group > 1 {
					elsewhere = name
				}
			}
		}
		return elsewhere != "", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	events, code := checkStorageAt(t, d, elsewhere, "-all")
	if r := events[len(events)-1].Result; code != 0 || r.Packs != len(objects(t, d)) || r.Packs == 0 || !r.Complete {
		t.Errorf("asked %s: exit code %d, %+v, %d objects", elsewhere, code, *r, len(objects(t, d)))
	}
}
