package ldap

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"rookery"
	"rookery/directory/embedded"
)

// serverScripts is where the scripts are that run real directory servers.
const serverScripts = "../../test/directory"

// slapd is a running OpenLDAP server of its own.
type slapd struct {
	t         testing.TB
	out, dir  string
	port, tls int
}

func freePort(t testing.TB) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func startSlapd(t testing.TB, users int) *slapd {
	t.Helper()
	dir, err := os.MkdirTemp("", "slapd")
	if err != nil {
		t.Fatal(err)
	}
	s := &slapd{t: t, out: dir, dir: filepath.Join(dir, "d"), port: freePort(t), tls: freePort(t)}
	t.Cleanup(func() {
		s.script("stop", s.dir)
		os.RemoveAll(dir)
	})
	if out, err := s.script("start", s.dir, strconv.Itoa(s.port), strconv.Itoa(s.tls), strconv.Itoa(users)); err != nil {
		t.Skipf("skipped: slapd does not start: %v\n%s", err, out)
	}
	return s
}

func (s *slapd) script(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(serverScripts, "run-slapd.sh"), args...)
	// The server outlives the script: it must not hold the script's pipes.
	out, err := os.CreateTemp(s.out, "out")
	if err != nil {
		return "", err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	text, _ := os.ReadFile(out.Name())
	return string(text), err
}

func (s *slapd) signal(sig syscall.Signal) {
	s.t.Helper()
	pid := s.pid()
	if err := syscall.Kill(pid, sig); err != nil {
		s.t.Fatal(err)
	}
	// A thread that runs on another core goes on until the signal reaches it.
	if sig == syscall.SIGSTOP {
		eventually(s.t, "every thread of slapd stands still", func() bool { return stopped(pid) })
	}
}

func (s *slapd) pid() int {
	s.t.Helper()
	raw, err := os.ReadFile(filepath.Join(s.dir, "slapd.pid"))
	if err != nil {
		s.t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || pid <= 1 {
		s.t.Fatalf("pid %q", raw)
	}
	return pid
}

// stopped reports that all threads of a process are stopped (proc(5)).
func stopped(pid int) bool {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, path := range tasks {
		b, _ := os.ReadFile(path)
		_, rest, ok := strings.Cut(string(b), ") ")
		if !ok || rest[0] != 'T' {
			return false
		}
	}
	return err == nil && len(tasks) > 0
}

func (s *slapd) url() string    { return fmt.Sprintf("ldap://127.0.0.1:%d", s.port) }
func (s *slapd) tlsURL() string { return fmt.Sprintf("ldaps://localhost:%d", s.tls) }
func (s *slapd) ca() string     { return filepath.Join(s.dir, "tls", "ca.pem") }

func (s *slapd) config() Config {
	c := Default()
	c.Name, c.URLs, c.Domains, c.Base = "corp", []string{s.url()}, []string{"example.test"}, "dc=example,dc=test"
	c.BindDN, c.Password = "cn=mail,ou=services,dc=example,dc=test", "svc"
	return c
}

// impatient timeouts let frozen servers be noticed quickly.
func impatient(c Config) Config {
	c.DialTimeout, c.OperationTimeout, c.Deadline, c.HealthInterval = 4*time.Second, 4*time.Second, 15*time.Second, 200*time.Millisecond
	return c
}

func openDirectory(t testing.TB, c Config) *Directory {
	t.Helper()
	d, err := Open(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// inProcess is an embedded server with the people of the slapd testbed.
func inProcess(t testing.TB, o embedded.Options, more ...embedded.User) *embedded.Server {
	t.Helper()
	o.AdminPassword = "adminpw"
	s, err := embedded.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	users := append([]embedded.User{
		{UID: "alice", Name: "Alice Test", Password: "secret", Mail: "alice@example.test",
			Aliases: []string{"a.smith@example.test", "postmaster@example.test"}, Quota: 1 << 30},
		{UID: "bob", Name: "Bob Test", Password: "secret", Mail: "bob@example.test", Disabled: true},
		{UID: "frank", Password: "secret", Mail: "frank@example.test"},
	}, more...)
	if err := s.AddUser(users...); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AddService("mail", "svc"); err != nil {
		t.Fatal(err)
	}
	return s
}

func embeddedConfig(s *embedded.Server) Config {
	c := Default()
	c.Name, c.URLs, c.Domains, c.Base = "corp", []string{s.URL()}, []string{"example.test"}, "dc=example,dc=test"
	c.BindDN, c.Password = "cn=mail,ou=services,dc=example,dc=test", "svc"
	return c
}

func address(t testing.TB, s string) rookery.Address {
	t.Helper()
	a, err := rookery.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// kindOf is the kind of err with success told apart.
func kindOf(err error) string {
	if err == nil {
		return "ok"
	}
	return rookery.KindOf(err).String()
}

// eventually polls until check holds.
func eventually(t testing.TB, what string, check func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !check() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		}
	}
}
