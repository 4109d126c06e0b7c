package scenario

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rookery/test/harness"
)

// ask gives a health endpoint's status and reason.
func ask(n harness.Node, path string) (int, string) {
	c := http.Client{Timeout: 30 * time.Second}
	r, err := c.Get("http://" + n.Health + path)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(b)
}

// becomes waits for an answer.
func becomes(t *testing.T, n harness.Node, path string, status int, reason string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience(20*time.Second))
	defer cancel()
	var got int
	var why string
	if harness.Poll(ctx, func() (bool, error) {
		got, why = ask(n, path)
		return got == status && strings.Contains(why, reason), nil
	}) != nil {
		t.Fatalf("%s%s says %d %s, want %d %s", n.Name, path, got, why, status, reason)
	}
}

func operate(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(harness.Binary(t), args...).CombinedOutput(); err != nil {
		t.Fatalf("rookery %v: %v\n%s", args, err, out)
	}
}

// A balancer takes a node out when it drains, and puts it back; its clients
// come to the others.
func TestBalancerFollowsReadiness(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts three processes")
	}
	haproxy := harness.Tool(t, "haproxy")
	d := harness.StartCluster(t, t.TempDir(), 3)
	nodes := d.Facts.Nodes
	for _, n := range nodes {
		for _, path := range []string{"/ready", "/ready/smtp", "/ready/imap", "/ready/pop3"} {
			becomes(t, n, path, http.StatusOK, `"ready":true`)
		}
		becomes(t, n, "/live", http.StatusOK, "")
	}
	front := fmt.Sprintf("127.0.0.1:%d", harness.FreePorts(t, 1))
	stop := balance(t, haproxy, front, nodes)
	defer stop()
	through := harness.Node{Name: "the balancer", POP3S: front}
	served := func() (bool, error) { return maildrop(t, d, through, d.Facts.Users[0]) == nil, nil }
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience(20*time.Second))
	defer cancel()
	if err := harness.Poll(ctx, served); err != nil {
		t.Fatal("the balancer serves nobody:", err)
	}

	admin := filepath.Join(d.Dir, nodes[0].Name)
	operate(t, "drain", nodes[2].Name, "-data", admin)
	becomes(t, nodes[2], "/ready/imap", http.StatusServiceUnavailable, "draining")
	becomes(t, nodes[2], "/live", http.StatusOK, "")
	becomes(t, nodes[0], "/ready", http.StatusOK, "")
	operate(t, "undrain", nodes[2].Name, "-data", admin)
	becomes(t, nodes[2], "/ready", http.StatusOK, "")

	// One that is cut off from the others' majority is of no use: with two
	// stopped dead, the third says so.
	for _, n := range nodes[:2] {
		if err := syscall.Kill(n.PID, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer syscall.Kill(n.PID, syscall.SIGCONT)
	}
	becomes(t, nodes[2], "/ready", http.StatusServiceUnavailable, "reaches only 1 of 3")
	for _, n := range nodes[:2] {
		syscall.Kill(n.PID, syscall.SIGCONT)
	}
	becomes(t, nodes[2], "/ready", http.StatusOK, "")
	if err := harness.Poll(ctx, served); err != nil {
		t.Error("the balancer serves nobody after the nodes came back:", err)
	}
}

// balance runs HAProxy over the nodes' POP3S.
func balance(t *testing.T, program, front string, nodes []harness.Node) (stop func()) {
	t.Helper()
	text := "global\n  maxconn 100\ndefaults\n  mode tcp\n  timeout connect 2s\n  timeout client 1m\n  timeout server 1m\n" +
		"listen pop3s\n  bind " + front + "\n  option httpchk GET /ready/pop3\n  default-server inter 200ms fall 1 rise 1\n"
	for _, n := range nodes {
		_, port, _ := strings.Cut(n.Health, ":")
		text += fmt.Sprintf("  server %s %s check port %s\n", n.Name, n.POP3S, port)
	}
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-db", "-f", path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() { cmd.Process.Kill(); cmd.Wait() }
}
