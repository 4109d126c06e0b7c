package scenario

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rookery/test/harness"
)

// mostExposed is the exposure level, in tenths, that systemd-analyze may give
// the unit: what it does not need stays shut.
const mostExposed = "35"

// The systemd unit is one that systemd reads without complaint, shuts what a
// node does not need, and starts the binary with arguments that it takes.
func TestSystemdUnit(t *testing.T) {
	analyze := harness.Tool(t, "systemd-analyze")
	b, err := os.ReadFile(filepath.Join("..", "..", "deploy", "systemd", "rookery.service"))
	must(t, err)
	var start string
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "ExecStart=/usr/local/bin/rookery "); ok {
			start = strings.TrimSpace(rest)
		}
	}
	if start == "" {
		t.Fatal("the unit starts no /usr/local/bin/rookery")
	}
	verify := func(text string) (string, error) {
		t.Helper()
		// It looks for the program.
		text = strings.Replace(text, "ExecStart=/usr/local/bin/rookery ", "ExecStart="+harness.Binary(t)+" ", 1)
		path := filepath.Join(t.TempDir(), "rookery.service")
		must(t, os.WriteFile(path, []byte(text), 0o644))
		out, err := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", path).CombinedOutput()
		if err != nil || len(out) > 0 {
			return string(out), errors.Join(err, errors.New("it complains"))
		}
		out, err = exec.Command(analyze, "security", "--no-pager", "--offline=true", "--threshold="+mostExposed, path).CombinedOutput()
		return string(out), err
	}
	if out, err := verify(string(b)); err != nil {
		t.Errorf("systemd-analyze: %v\n%s", err, out)
	}
	for _, wrong := range []string{
		strings.Replace(string(b), "Restart=", "Restrat=", 1),
		strings.Replace(string(b), "CapabilityBoundingSet=CAP_NET_BIND_SERVICE", "CapabilityBoundingSet=~", 1),
	} {
		if _, err := verify(wrong); err == nil {
			t.Error("a unit with a mistake passes: this test sees nothing")
		}
	}
	out, err := exec.Command(harness.Binary(t), strings.Fields(strings.Replace(start, "/etc/rookery", t.TempDir(), 1))...).CombinedOutput()
	if code := err.(*exec.ExitError).ExitCode(); code != 3 || !strings.Contains(string(out), "rookery.toml") {
		t.Errorf("rookery %s without a node file: exit code %d: %s", start, code, out)
	}
	if !strings.Contains(string(b), "\nRestartPreventExitStatus=7\n") {
		t.Error("a node that was removed is started again and again: its exit code is 7")
	}
}
