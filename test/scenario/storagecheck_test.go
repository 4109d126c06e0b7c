package scenario

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rookery/test/harness"
)

// storageEvent is a line of rookery storage check --json.
type storageEvent struct {
	Finding  *struct{ Fault string }
	Affected *struct {
		Account, Mailbox, Copy string
		UID                    uint32
	}
	Mended *struct{ Body uint64 }
	Result *struct {
		Packs, Findings, Mended int
		Damaged                 int `json:"damaged_bodies"`
		Complete                bool
	}
}

// checkStorage runs rookery storage check and gives what it printed and its
// exit code.
func checkStorage(t *testing.T, d *harness.Dev, flags ...string) (events []storageEvent, code int) {
	t.Helper()
	return checkStorageAt(t, d, "node1", flags...)
}

func checkStorageAt(t *testing.T, d *harness.Dev, node string, flags ...string) (events []storageEvent, code int) {
	t.Helper()
	args := append([]string{"storage", "check", "-data", filepath.Join(d.Dir, node), "--json"}, flags...)
	cmd := exec.Command(harness.Binary(t), args...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var e storageEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		events = append(events, e)
	}
	if len(events) == 0 || events[len(events)-1].Result == nil {
		t.Fatalf("check printed no result: exit code %d, %s", code, errs.String())
	}
	return events, code
}

// objects are the packs' files.
func objects(t *testing.T, d *harness.Dev) (files []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(d.Dir, "objects"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".pk") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// deliverPacks sends mail until there are some packs, and waits until nothing
// is unpacked.
func deliverPacks(t *testing.T, d *harness.Dev) {
	t.Helper()
	for round := range 3 {
		for i, u := range d.Facts.Users {
			msg := fmt.Sprintf("Subject: through round %d for %d\r\n\r\n%s", round, i, incompressible(3000*(i+1)))
			if err := send(d.Node().SMTP, []string{u.Login}, msg); err != nil {
				t.Fatal(err)
			}
		}
		untilPacked(t, d)
	}
}

func untilPacked(t *testing.T, d *harness.Dev) {
	t.Helper()
	err := harness.Poll(t.Context(), func() (bool, error) {
		out, _ := exec.Command(harness.Binary(t), "status", "-data", filepath.Join(d.Dir, "node1"), "--json").Output()
		var st struct {
			Groups []struct {
				Unpacked int `json:"unpacked_bodies"`
			}
		}
		if err := json.Unmarshal(out, &st); err != nil {
			return false, err
		}
		for _, g := range st.Groups {
			if g.Unpacked > 0 {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestStorageCheckFindsAndMends(t *testing.T) {
	d := harness.StartDev(t, t.TempDir())
	deliverPacks(t, d)
	events, code := checkStorage(t, d, "-all")
	files := objects(t, d)
	if r := events[len(events)-1].Result; code != 0 || r.Findings != 0 || !r.Complete || r.Packs != len(files) {
		t.Fatalf("a store in order: exit code %d, %+v, %d objects", code, *r, len(files))
	}
	if len(files) < 3 {
		t.Fatalf("only %d packs", len(files))
	}
	// One is lost, one is cut short, in one a byte of a body is turned over.
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(files[1], 200); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(files[2])
	if err != nil {
		t.Fatal(err)
	}
	b[100] ^= 1
	if err := os.WriteFile(files[2], b, 0o600); err != nil {
		t.Fatal(err)
	}

	events, code = checkStorage(t, d, "-all")
	faults := map[string]int{}
	affected := 0
	for _, e := range events {
		if e.Finding != nil {
			faults[e.Finding.Fault]++
		}
		if a := e.Affected; a != nil {
			affected++
			if a.Account == "" || a.Mailbox != "INBOX" || a.UID == 0 || a.Copy == "" {
				t.Errorf("affected: %+v", *a)
			}
		}
	}
	r := events[len(events)-1].Result
	if code != 6 || faults["missing"] != 1 || faults["size"] != 1 || faults["digest"] != 1 || r.Damaged < 3 || affected < r.Damaged {
		t.Fatalf("exit code %d, faults %v, %d messages, %+v", code, faults, affected, *r)
	}
	events, code = checkStorage(t, d, "-all", "-repair")
	if r := events[len(events)-1].Result; code != 0 || r.Mended != r.Damaged {
		t.Fatalf("repair: exit code %d, %+v", code, *r)
	}
	// What lies in damaged packs is needed no longer.
	events, code = checkStorage(t, d, "-all")
	if r := events[len(events)-1].Result; code != 0 || r.Damaged != 0 {
		t.Fatalf("after the repair: exit code %d, %+v", code, *r)
	}
	for _, u := range d.Facts.Users {
		if got := subjects(t, d, u); len(got) < 3 ||
			!slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "through round 2") }) {
			t.Errorf("%s has %q", u.Login, got)
		}
	}
}
