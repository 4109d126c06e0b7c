package scenario

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"rookery/test/harness"
)

// rebuildIndex runs rookery storage rebuild-index and gives the bodies in the
// file it wrote, by group and body, with what it printed last.
func rebuildIndex(t *testing.T, flags ...string) (bodies map[[2]uint64]string, result struct {
	Bodies, Mended int
	Salvaged       int `json:"salvaged_packs"`
	Lost           int `json:"lost_packs"`
	Sought         int `json:"sought_bodies"`
}, code int) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "index.jsonl")
	cmd := exec.Command(harness.Binary(t), append([]string{"storage", "rebuild-index", "--json", "-out", out}, flags...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	printed, _ := cmd.Output()
	code = cmd.ProcessState.ExitCode()
	lines := bytes.Split(bytes.TrimSpace(printed), []byte("\n"))
	last := struct{ Result any }{&result}
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil {
		t.Fatalf("rebuild-index: exit code %d, %v: %s%s", code, err, printed, errs.String())
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	bodies = map[[2]uint64]string{}
	s := bufio.NewScanner(f)
	for s.Buffer(nil, 64<<20); s.Scan(); {
		var p struct {
			Group  uint64
			Pack   string
			Bodies []struct {
				Body   uint64
				SHA256 string
				Layout []byte
			}
		}
		if err := json.Unmarshal(s.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		for _, b := range p.Bodies {
			if len(b.SHA256) != 64 || len(b.Layout) == 0 {
				t.Errorf("body %d of group %d has no digest or layout", b.Body, p.Group)
			}
			bodies[[2]uint64{p.Group, b.Body}] = p.Pack
		}
	}
	return bodies, result, code
}

func TestRebuildIndex(t *testing.T) {
	d := harness.StartDev(t, t.TempDir())
	deliverPacks(t, d)
	node, store := filepath.Join(d.Dir, "node1"), filepath.Join(d.Dir, "objects")
	online, r, code := rebuildIndex(t, "-data", node)
	if want := 4 * len(d.Facts.Users); code != 0 || len(online) < want || r.Sought != 0 || r.Lost != 0 {
		t.Fatalf("exit code %d, %d bodies, want at least %d: %+v", code, len(online), want, r)
	}
	// One object is lost, one loses its end.
	files := objects(t, d)
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[1], b[:len(b)-10], 0o600); err != nil {
		t.Fatal(err)
	}
	_, r, code = rebuildIndex(t, "-data", node)
	if code != 6 || r.Sought < 2 || r.Mended != 0 {
		t.Errorf("damaged: exit code %d, %+v", code, r)
	}
	_, r, code = rebuildIndex(t, "-data", node, "-repair")
	if code != 0 || r.Mended != r.Sought {
		t.Errorf("repair: exit code %d, %+v", code, r)
	}
	d.Kill()
	offline, r, code := rebuildIndex(t, "-store", store)
	if code != 0 || r.Lost != 0 || r.Salvaged != 1 {
		t.Errorf("offline: exit code %d, %+v", code, r)
	}
	for id, pack := range online {
		if offline[id] == "" {
			t.Errorf("body %d of group %d, once in %s, was not found offline", id[1], id[0], pack)
		}
	}
}
