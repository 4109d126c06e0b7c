package scenario

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"rookery/test/harness"
)

// On a terminal the watched status is drawn in place, within the window, and
// follows the cluster; Ctrl-C ends it with exit code 0. In a pipe it is plain.
func TestStatusWatch(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts three processes")
	}
	d := harness.StartCluster(t, t.TempDir(), 3)
	args := []string{"status", "-watch", "-every", "200ms", "-data", filepath.Join(d.Dir, "node1")}
	cmd := exec.Command(harness.Binary(t), args...)
	s := newScreen(t, cmd)
	const rows = 24
	must(t, pty.Setsize(s.tty, &pty.Winsize{Rows: rows, Cols: 60}))
	s.until("nothing is wrong")
	s.until("\x1b[H") // the first picture may be of another window
	s.until("\x1b[H")
	picture := s.until("\x1b[J")
	lines := strings.Split(strings.TrimSuffix(picture, "\x1b[J"), "\r\n")
	if len(lines) > rows {
		t.Errorf("%d lines in a window of %d", len(lines), rows)
	}
	for _, l := range lines {
		if l = strings.TrimSuffix(l, "\x1b[K"); len(l) > 60 {
			t.Errorf("the line %q is longer than the window is wide", l)
		}
	}
	must(t, d.KillNode("node3"))
	s.until("node3 does not answer")
	must(t, d.StartNode("node3"))
	s.until("nothing is wrong")
	s.tty.WriteString("\x03")
	s.end()
	if err := cmd.Wait(); err != nil {
		t.Errorf("Ctrl-C: %v", err)
	}

	for _, last := range []string{"--json", "-json=false"} {
		cmd = exec.Command(harness.Binary(t), append(args, last)...)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		in := bufio.NewScanner(out)
		in.Buffer(nil, 1<<20)
		for seen := 0; seen < 3 && in.Scan(); {
			if strings.Contains(in.Text(), "\x1b") {
				t.Errorf("control sequences in a pipe: %q", in.Text())
			}
			var st status
			if last != "--json" {
				if strings.HasPrefix(in.Text(), "NODE") {
					seen++
				}
			} else if err := json.Unmarshal(in.Bytes(), &st); err != nil || len(st.Nodes) != 3 {
				t.Errorf("no line of JSON: %v %s", err, in.Text())
				seen = 3
			} else {
				seen++
			}
		}
		must(t, cmd.Process.Signal(syscall.SIGINT))
		for in.Scan() {
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("SIGINT in a pipe: %v", err)
		}
	}
}
