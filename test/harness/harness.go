// Package harness runs the product as its users do, for tests: the built
// binary as a process of its own, found through the facts it writes. It owns
// starting, killing and stopping processes and finding what a machine offers;
// it never reaches into the product's packages and asserts nothing itself.
package harness

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Facts are DIR/dev.json.
type Facts struct {
	Nodes []Node `json:"nodes"`
	LDAP  string `json:"ldap"`
	CA    string `json:"ca"`
	Users []User `json:"users"`
	Admin struct {
		DN       string `json:"dn"`
		Password string `json:"password"`
		Base     string `json:"base"`
	} `json:"ldap_admin"`
}

// Node is where one node listens.
type Node struct {
	Name        string `json:"name"`
	PID         int    `json:"pid"`
	SMTP        string `json:"smtp"`
	Submission  string `json:"submission"`
	Submissions string `json:"submissions"`
	IMAP        string `json:"imap"`
	IMAPS       string `json:"imaps"`
	POP3        string `json:"pop3"`
	POP3S       string `json:"pop3s"`
	Health      string `json:"health"`
}

// User can sign in.
type User struct {
	Login    string `json:"login"`
	Password string `json:"password"`
}

// Dev is a running `rookery dev`.
type Dev struct {
	Facts Facts
	Dir   string
	nodes int
	base  int
	bin   string
	flags []string
	cmd   *exec.Cmd
	log   *bytes.Buffer
	done  chan error
}

// StartDev runs `rookery dev` with one node in dir on free ports until the test
// ends.
func StartDev(t testing.TB, dir string) *Dev { return StartCluster(t, dir, 1) }

// StartCluster is StartDev with several nodes.
func StartCluster(t testing.TB, dir string, nodes int) *Dev {
	t.Helper()
	return startCluster(t, dir, nodes, Binary(t))
}

// StartClusterOn is StartCluster with the object store at an S3 endpoint, in a
// bucket of its own.
func StartClusterOn(t testing.TB, dir string, nodes int, endpoint string) *Dev {
	t.Helper()
	return StartClusterWith(t, dir, nodes, fmt.Sprintf("[store]\nkind = \"s3\"\nendpoint = %q\nbucket = %q\naccess_key = \"testuser\"\n"+
		"secret_key = \"secretsecret\"\n", endpoint, Bucket(t, endpoint)))
}

// StartClusterWith is StartCluster with settings.
func StartClusterWith(t testing.TB, dir string, nodes int, text string) *Dev {
	t.Helper()
	file := filepath.Join(t.TempDir(), "settings.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return startCluster(t, dir, nodes, Binary(t), "-settings", file)
}

func startCluster(t testing.TB, dir string, nodes int, bin string, flags ...string) *Dev {
	t.Helper()
	d := &Dev{Dir: dir, nodes: nodes, bin: bin, flags: flags, base: FreePorts(t, 100*(nodes-1)+10)}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Errorf("stop: %v\n%s", err, d.Log())
		}
		if t.Failed() {
			t.Logf("log of the node:\n%s", tail(d.Log(), 8000))
		}
	})
	return d
}

// Start runs the process and waits until it serves.
func (d *Dev) Start() error {
	facts := filepath.Join(d.Dir, "dev.json")
	if err := os.Remove(facts); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	d.log = new(bytes.Buffer)
	args := []string{"dev", "-nodes", fmt.Sprint(d.nodes), "-data", d.Dir, "-port-base", fmt.Sprint(d.base), "-log-level", "info"}
	d.cmd = exec.Command(d.bin, append(args, d.flags...)...)
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	// The node dies with the test process, whatever kills that.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		return err
	}
	d.done = make(chan error, 1)
	go func(cmd *exec.Cmd, done chan error) { done <- cmd.Wait() }(d.cmd, d.done)
	ctx, cancel := context.WithTimeout(context.Background(), Patience(2*time.Minute))
	defer cancel()
	err := Poll(ctx, func() (bool, error) {
		select {
		case err := <-d.done:
			d.done <- err
			return false, fmt.Errorf("rookery dev ended: %v\n%s", err, d.Log())
		default:
		}
		b, err := os.ReadFile(facts)
		if err != nil {
			return false, nil
		}
		return true, json.Unmarshal(b, &d.Facts)
	})
	if err != nil {
		d.Kill()
		return fmt.Errorf("rookery dev did not come up: %w\n%s", err, d.Log())
	}
	return nil
}

// Node is the first node.
func (d *Dev) Node() Node { return d.Facts.Nodes[0] }

// KillNode ends one node with SIGKILL, StartNode starts it again and waits
// until it serves.
func (d *Dev) KillNode(name string) error { return d.order("kill", name) }

// StartNode is KillNode's counterpart.
func (d *Dev) StartNode(name string) error { return d.order("start", name) }

func (d *Dev) order(order, name string) error {
	out, err := exec.Command(d.bin, "dev", order, name, "-data", d.Dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("rookery dev %s %s: %w: %s", order, name, err, out)
	}
	return d.reread()
}

func (d *Dev) reread() error {
	b, err := os.ReadFile(filepath.Join(d.Dir, "dev.json"))
	if err != nil {
		return err
	}
	return json.Unmarshal(b, &d.Facts)
}

// Log is what the process has printed. Read it when the process has ended.
func (d *Dev) Log() string { return d.log.String() }

// Kill ends all nodes and their supervisor with SIGKILL.
func (d *Dev) Kill() {
	if d.cmd == nil {
		return
	}
	if d.reread() == nil {
		for _, n := range d.Facts.Nodes {
			if n.PID != 0 {
				syscall.Kill(n.PID, syscall.SIGKILL)
			}
		}
	}
	d.cmd.Process.Kill()
	<-d.done
	d.cmd = nil
}

// Stop ends the process with SIGTERM and waits; its exit code must be 0.
func (d *Dev) Stop() error {
	if d.cmd == nil {
		return nil
	}
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-d.done:
		d.cmd = nil
		return err
	case <-time.After(Patience(time.Minute)):
		d.Kill()
		return fmt.Errorf("did not stop within %v of SIGTERM", Patience(time.Minute))
	}
}

// TLS trusts the dev CA.
func (d *Dev) TLS(t testing.TB) *tls.Config { return TrustFile(t, d.Facts.CA) }

// TrustFile is a TLS client configuration that trusts a CA file.
func TrustFile(t testing.TB, path string) *tls.Config {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		t.Fatalf("%s holds no certificate", path)
	}
	return &tls.Config{RootCAs: pool, ServerName: "localhost"}
}

// Patience is how long a test waits for what takes no longer than d on a quiet
// machine: where it waits in vain nothing is lost but time.
func Patience(d time.Duration) time.Duration { return 5 * d }

// Poll calls fn every 20 ms until it says true, fails, or ctx ends.
func Poll(ctx context.Context, fn func() (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := fn(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Script finds a script of test/directory, which runs a real directory server.
func Script(t testing.TB, name string) string {
	t.Helper()
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "test", "directory", name)
		}
		if filepath.Dir(dir) == dir {
			t.Fatal("the tests do not run in the repository")
		}
		dir = filepath.Dir(dir)
	}
}

// Shared finds a file of the test bed that may stand beside the repository,
// or skips the test with the reason.
func Shared(t testing.TB, elem ...string) string {
	t.Helper()
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for {
		path := filepath.Join(append([]string{filepath.Dir(dir), "shared", "testbed"}, elem...)...)
		if _, err := os.Stat(path); err == nil {
			return path
		}
		if filepath.Dir(dir) == dir {
			t.Skipf("skipped: shared/testbed/%s is not beside the repository", filepath.Join(elem...))
		}
		dir = filepath.Dir(dir)
	}
}

// Tool finds a program, or skips the test with the reason.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("skipped: %s is not installed (make deps installs it)", name)
	}
	return path
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}
