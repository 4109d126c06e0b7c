package scenario

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"rookery/test/harness"
)

// screen is what a program on a terminal has printed, and the keyboard.
type screen struct {
	t    *testing.T
	tty  *os.File
	text strings.Builder
	seen int // how much of text was waited for
	news chan string
}

func newScreen(t *testing.T, cmd *exec.Cmd) *screen {
	t.Helper()
	tty, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, tty: tty, news: make(chan string, 100)}
	go func() {
		defer close(s.news)
		buf := make([]byte, 4096)
		for {
			n, err := tty.Read(buf)
			if n > 0 {
				s.news <- string(buf[:n])
			}
			if err != nil {
				return // EIO: the program has ended
			}
		}
	}()
	t.Cleanup(func() { tty.Close() })
	return s
}

// until waits for a text, and gives what came up to its end.
func (s *screen) until(want string) string {
	s.t.Helper()
	limit := time.NewTimer(harness.Patience(30 * time.Second))
	defer limit.Stop()
	for {
		rest := s.text.String()[s.seen:]
		if i := strings.Index(rest, want); i >= 0 {
			s.seen += i + len(want)
			return rest[:i+len(want)]
		}
		select {
		case text, ok := <-s.news:
			if !ok {
				s.t.Fatalf("the program ended before it said %q:\n%s", want, s.text.String())
			}
			s.text.WriteString(text)
		case <-limit.C:
			s.t.Fatalf("nothing says %q:\n%s", want, s.text.String())
		}
	}
}

func (s *screen) end() string {
	for text := range s.news {
		s.text.WriteString(text)
	}
	return s.text.String()
}

// answer waits for a question and types an answer to it.
func (s *screen) answer(question, answer string) string {
	s.t.Helper()
	said := s.until(question)
	s.until(": ")
	if _, err := io.WriteString(s.tty, answer+"\n"); err != nil {
		s.t.Fatal(err)
	}
	return said
}

// An operator begins a cluster by answering questions, each answer wrong once
// and corrected; what comes out is a node that takes and shows mail.
func TestInitAsks(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts slapd and a node")
	}
	s := harness.PrepareServe(t)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close() // nobody listens there
	away := closed.Addr().String()
	cmd := exec.Command(harness.Binary(t), "init", "-config", filepath.Join(s.Dir, "rookery.toml"), "-kit", filepath.Join(s.Dir, "kit.json"))
	o := newScreen(t, cmd)
	refused := func(why, said string) {
		t.Helper()
		if !strings.Contains(said, "this does not work") || !strings.Contains(said, why) {
			t.Errorf("the operator is not told %q:\n%s", why, said)
		}
	}
	o.answer("Mail domains", "nodots")
	refused("not a mail domain", o.answer("Mail domains", "example.test"))
	o.answer("Directory servers", "ldaps://"+away)
	refused("refused", o.answer("Directory servers", s.LDAPS))
	refused("certificate", o.answer("PEM file with the authority", "/mistyped.pem"))
	refused("/mistyped.pem", o.answer("PEM file with the authority", s.CA))
	refused("certificate", o.answer("PEM file with the authority", "")) // another server
	o.answer("Directory servers", "")                                   // or the same
	refused("certificate", o.answer("PEM file with the authority", s.LDAPCA))
	o.answer("DN of the account", "cn=mail,ou=services,dc=example,dc=test")
	o.answer("Its password", "wrong-horse")
	refused("Invalid Credentials", o.answer("DN of the account", "")) // as before
	o.answer("Its password", "svc")
	o.answer("DN below which", "ou=services,dc=example,dc=test") // nobody with mail there
	o.answer("Profile", "")
	refused("no entry below", o.answer("DN below which", "dc=example,dc=test"))
	o.answer("Profile", "openldap")
	if found := o.answer("Object store", "http://"+away); !strings.Contains(found, "ok: ") || !strings.Contains(found, "@example.test") {
		t.Errorf("the search does not say whom it found:\n%s", found)
	}
	refused("refused", o.answer("Object store", s.Endpoint))
	o.answer("Bucket", "no-such-bucket")
	o.answer("Access key", "testuser")
	o.answer("Secret key", "secretsecret")
	o.answer("Region", "")
	refused("NoSuchBucket", o.answer("Bucket", s.Bucket))
	o.answer("Access key", "")
	o.answer("Secret key", "battery-staple")
	o.answer("Region", "")
	refused("SignatureDoesNotMatch", o.answer("Bucket", ""))
	o.answer("Access key", "")
	o.answer("Secret key", "secretsecret")
	o.answer("Region", "")
	o.answer("Address that gets the mail for postmaster", "nobody at home")
	refused("write it like", o.answer("Address that gets the mail for postmaster", "frank@example.test"))
	o.until("The cluster has begun")
	all := o.end()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("init: %v\n%s", err, all)
	}
	for _, secret := range []string{"wrong-horse", "svc", "secretsecret", "battery-staple"} {
		if strings.Contains(all, secret) {
			t.Errorf("the secret %q stands on the screen:\n%s", secret, all)
		}
	}
	s.Run(t)
	serves(t, s)
}

// serves sends a message and reads it as the user it is for.
func serves(t *testing.T, s *harness.Serve) {
	t.Helper()
	d := &harness.Dev{Facts: harness.Facts{Nodes: []harness.Node{s.Node}, CA: s.CA}}
	if err := send(s.Node.SMTP, []string{"frank@example.test"}, "Subject: through serve\r\n\r\nhi\r\n"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience(20*time.Second))
	defer cancel()
	user := harness.User{Login: "frank", Password: "secret"}
	if err := harness.Poll(ctx, func() (bool, error) { return len(subjects(t, d, user)) > 0, nil }); err != nil {
		t.Error("the message does not arrive:", err)
	}
}

// Ctrl-C while a secret is typed ends init: the terminal echoes again, and
// nothing was made.
func TestInitInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts slapd")
	}
	s := harness.PrepareServe(t)
	cmd := exec.Command(harness.Binary(t), "init", "-config", filepath.Join(s.Dir, "rookery.toml"), "-kit", filepath.Join(s.Dir, "kit.json"),
		"-domain", "example.test", "-directory", s.LDAPS, "-directory-ca", s.LDAPCA)
	o := newScreen(t, cmd)
	o.answer("DN of the account", "cn=mail,ou=services,dc=example,dc=test")
	o.until("Its password (not shown): ")
	io.WriteString(o.tty, "half a pass\x03")
	o.until("interrupted")
	if mode, err := unix.IoctlGetTermios(int(o.tty.Fd()), unix.TCGETS); err != nil || mode.Lflag&unix.ECHO == 0 {
		t.Errorf("the terminal is left without echo: %v", err)
	}
	o.end()
	var ended *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ended) || ended.ExitCode() != 1 {
		t.Errorf("init ended with %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.Dir, "data")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an interrupted init left a data directory: %v", err)
	}
}

// Without a terminal nothing is asked: what is missing is named.
func TestInitWithoutTerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts slapd and a node")
	}
	s := harness.PrepareServe(t)
	secret := func(name, text string) string {
		path := filepath.Join(s.Dir, name)
		must(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
		return path
	}
	args := []string{"init", "-config", filepath.Join(s.Dir, "rookery.toml"), "-kit", filepath.Join(s.Dir, "kit.json"),
		"-domain", "example.test", "-directory", s.LDAPS, "-directory-ca", s.LDAPCA, "-bind-dn", "cn=mail,ou=services,dc=example,dc=test",
		"-bind-password-file", secret("bind", "svc"), "-store", s.Endpoint, "-bucket", s.Bucket, "-access-key", "testuser"}
	run := func(args ...string) (string, int) {
		cmd := exec.Command(harness.Binary(t), args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	out, code := run(args...)
	for _, want := range []string{"no terminal", "-base", "-secret-key-file", "directories.main.base"} {
		if code != 2 || !strings.Contains(out, want) {
			t.Errorf("exit code %d, and not named is %q: %s", code, want, out)
		}
	}
	if strings.Contains(out, "-bind-dn") {
		t.Errorf("what was given is asked for: %s", out)
	}
	wrong := slices.Clone(args)
	wrong[slices.Index(wrong, "-bind-password-file")+1] = secret("wrong", "not-the-password")
	out, code = run(append(wrong, "-base", "dc=example,dc=test", "-secret-key-file", secret("s3", "secretsecret"))...)
	if code == 0 || !strings.Contains(out, "Invalid Credentials") || strings.Contains(out, "no server answers") {
		t.Errorf("a wrong password of the account: exit code %d: %s", code, out)
	}
	out, code = run(append(args, "-base", "dc=example,dc=test", "-secret-key-file", secret("s3", "not-the-secret"))...)
	if code == 0 || !strings.Contains(out, "SignatureDoesNotMatch") {
		t.Errorf("a wrong secret: exit code %d: %s", code, out)
	}
	out, code = run(append(args, "-base", "dc=example,dc=test", "-secret-key-file", secret("s3", "secretsecret"))...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	s.Run(t)
	serves(t, s)
}
