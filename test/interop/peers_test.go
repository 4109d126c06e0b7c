package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rookery/test/harness"
)

// Where the other systems are, in the network namespace of TestPeers.
const (
	dnsAt     = "127.0.25.53"
	postfixAt = "127.0.25.2"
	plainAt   = "127.0.25.5" // Postfix without TLS
	eximAt    = "127.0.25.3"
	policyAt  = "127.0.25.4"
	ourDomain = "example.test"
)

const inside = "ROOKERY_TEST_INSIDE"

// TestPeers exchanges mail with a real Postfix and a real Exim, over zones that a
// real unbound validates. It runs itself once more in namespaces of its own, where
// every port is free, and where all that it starts ends with it. The long form is
// that of make interop.
func TestPeers(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts real mail servers")
	}
	if os.Getenv(inside) == "" {
		isolated(t)
		return
	}
	w := newPeers(t)
	if os.Getenv("ROOKERY_INTEROP") == "" {
		briefly(w)
		return
	}
	t.Run("outward", func(t *testing.T) { w.t = t; outward(w) })
	t.Run("policies", func(t *testing.T) { w.t = t; policies(w) })
	t.Run("inward", func(t *testing.T) { w.t = t; inward(w) })
	t.Run("exim", func(t *testing.T) { w.t = t; eximBothWays(w) })
}

// isolated runs the test in namespaces of network, processes and mounts.
func isolated(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("skipped: needs root for namespaces and for port 25")
	}
	for _, tool := range []string{"unshare", "ip", "postfix", "unbound", "ldns-signzone", "ldns-keygen"} {
		harness.Tool(t, tool)
	}
	cmd := exec.Command("unshare", "-n", "-m", "-p", "-f", "--mount-proc", "--kill-child", os.Args[0], "-test.run=^TestPeers$", "-test.v",
		"-test.timeout=5m")
	cmd.Env = append(os.Environ(), inside+"=1", "ROOKERY_TEST_BINARY="+harness.Binary(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

// peers is a Rookery and the systems around it.
type peers struct {
	t    *testing.T
	dir  string
	ca   *authority
	zone *zone
	d    *harness.Dev
	s    server
	mail string // Postfix's Maildir
	exim string // Exim's, "" where there is none
}

func newPeers(t *testing.T) *peers {
	w := &peers{t: t, dir: t.TempDir()}
	must(t, os.Chmod(w.dir, 0o755))
	must(t, os.Chmod(filepath.Dir(w.dir), 0o755))
	w.sh("ip", "link", "set", "lo", "up")
	w.sh("ip", "addr", "add", "10.9.0.1/32", "dev", "lo") // an address to send from
	w.bind("/etc/resolv.conf", "nameserver "+dnsAt+"\n")
	passwd, err := os.ReadFile("/etc/passwd")
	must(t, err)
	group, err := os.ReadFile("/etc/group")
	must(t, err)
	w.bind("/etc/passwd", string(passwd)+"Debian-exim:x:65533:65533::/:/bin/false\n")
	w.bind("/etc/group", string(group)+"Debian-exim:x:65533:\n")
	w.ca = newAuthority(t, w.dir)
	w.zone = w.startDNS()
	os.Setenv("SSL_CERT_FILE", w.ca.file) // the roots of the nodes
	w.d = harness.StartClusterWith(t, filepath.Join(w.dir, "rookery"), 1, fmt.Sprintf("[outbound]\nresolvers = [%q]\n"+
		"private_addresses = true\nretry_first = \"1s\"\nretry_most = \"2s\"\n", dnsAt+":53"))
	w.s = server{node: w.d.Node(), ca: w.d.Facts.CA, tls: w.d.TLS(t), user: w.d.Facts.Users[0]}
	w.startPostfix()
	w.startExim()
	w.startPolicies()
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *peers) sh(name string, args ...string) string {
	w.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// rookery runs a verb on the node.
func (w *peers) rookery(args ...string) string {
	w.t.Helper()
	return w.sh(harness.Binary(w.t), append(args, "-data", w.d.Dir)...)
}

func (w *peers) set(key, value string) { w.t.Helper(); w.rookery("config", "set", key, value) }

// file writes a file of the test.
func (w *peers) file(name, text string) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	must(w.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(w.t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

// bind puts a text in the place of a file, for this namespace.
func (w *peers) bind(path, text string) {
	w.t.Helper()
	w.sh("mount", "--bind", w.file("bound"+path, text), path)
}

// run starts a program that stays in the foreground until the test ends.
func (w *peers) run(log, name string, args ...string) {
	w.t.Helper()
	out, err := os.Create(filepath.Join(w.dir, log))
	must(w.t, err)
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(w.t, cmd.Start())
	t := w.t
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		out.Close()
		if t.Failed() {
			b, _ := os.ReadFile(out.Name())
			t.Logf("%s:\n%s", log, b[max(0, len(b)-6000):])
		}
	})
}

// listens waits until something listens at an address.
func (w *peers) listens(addr string) {
	w.t.Helper()
	w.until(addr+" listens", func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// until waits for what takes no longer than half a minute.
func (w *peers) until(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(harness.Patience(15 * time.Second)); !ok(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatal(fmt.Sprint("in vain: ", what))
		}
	}
}
