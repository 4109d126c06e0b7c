package abuse

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rookery/test/harness"
)

// TestObjectStoreAway takes the object store away: mail is accepted and read,
// and reaches the store when that is back.
func TestObjectStoreAway(t *testing.T) {
	t.Parallel() // it waits, mostly
	d := harness.StartDev(t, t.TempDir())
	g := &target{node: d.Node(), tls: d.TLS(t), users: d.Facts.Users, pid: d.Node().PID}
	empty(t, g, 0)
	objects := filepath.Join(d.Dir, "objects")
	await(t, "the welcome messages in the store", func() bool { return files(objects) > 0 })
	away := objects + ".away"
	if err := os.Rename(objects, away); err != nil {
		t.Fatal(err)
	}
	// A file in its place: nothing can be made there, whoever runs this test.
	if err := os.WriteFile(objects, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want := large(5 << 20)
	for range 3 {
		g.deliver(t, 0, want, "250")
	}
	g.alive(t)
	served := func() {
		t.Helper()
		c := g.imap(t, 0)
		c.cmd("s SELECT INBOX", "s OK")
		c.cmd("f FETCH 1:3 (ENVELOPE BODYSTRUCTURE BODY.PEEK[])", "f OK")
		retr(t, g, want)
	}
	served()
	before := files(away)
	if err := os.Remove(objects); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, objects); err != nil {
		t.Fatal(err)
	}
	await(t, "the messages in the store", func() bool { return files(objects) > before })
	served()
}

func files(dir string) int {
	n := 0
	filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			n++
		}
		return nil
	})
	return n
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(harness.Patience(40 * time.Second)); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}

// TestDirectoryAway stops the LDAP server while it is in use, then takes it
// away. Doubt is temporary on every port; nobody is told that a password is
// wrong or that a user does not exist. Sessions go on.
func TestDirectoryAway(t *testing.T) {
	t.Parallel() // it waits, mostly
	s := harness.StartServe(t)
	g := &target{node: s.Node, tls: harness.TrustFile(t, s.CA)}
	for i := range 4 {
		g.users = append(g.users, harness.User{Login: fmt.Sprintf("u%04d@example.test", i), Password: "secret"})
	}
	script := harness.Script(t, "run-slapd.sh")
	data := filepath.Join(s.Dir, "slapd")
	b, err := os.ReadFile(filepath.Join(data, "slapd.pid"))
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(string(bytes.TrimSpace(b)), &pid); err != nil {
		t.Fatal(err)
	}
	session := g.imap(t, 0)
	session.cmd("s SELECT INBOX", "s OK")

	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Run("silent", func(t *testing.T) { doubtful(t, g) })
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	run(t, "bash", script, "stop", data)
	t.Run("gone", func(t *testing.T) { doubtful(t, g) })
	session.cmd("n NOOP", "n OK")
	session.cmd("f FETCH 1:* FLAGS", "f ")

	run(t, "bash", script, "resume", data)
	await(t, "sign-in with the directory back", func() bool {
		c := g.dialTLS(t, g.node.IMAPS)
		c.must("* OK")
		c.send("a LOGIN u0002@example.test secret\r\n")
		return strings.Contains(c.until("a ", "a "), "a OK")
	})
	g.deliver(t, 3, []byte(small), "250")
}

// doubtful asks the directory on every road, side by side.
func doubtful(t *testing.T, g *target) {
	for name, ask := range map[string]func(t *testing.T){
		"RCPT": func(t *testing.T) {
			c := g.smtp(t)
			c.ok("MAIL FROM:<a@example.net>", "250")
			// Who is in the cluster's copy is known; before there is one, that is doubtful.
			c.send("RCPT TO:<u0003@example.test>\r\n")
			if l := c.reply(""); !strings.HasPrefix(l, "4") && !strings.HasPrefix(l, "250") {
				c.t.Errorf("somebody who exists: %s", l)
			}
			c.ok("RCPT TO:<nosuchuser@example.test>", "4")
			c.ok("NOOP", "250")
		},
		"AUTH": func(t *testing.T) {
			c := g.dialTLS(t, g.node.Submissions)
			c.reply("220")
			c.ok("EHLO x", "250")
			c.ok("AUTH PLAIN "+plain("u0001@example.test", "secret"), "454")
			c.ok("AUTH PLAIN "+plain("nosuchuser@example.test", "secret"), "454")
		},
		"IMAP": func(t *testing.T) {
			c := g.dialTLS(t, g.node.IMAPS)
			c.must("* OK")
			c.cmd("a LOGIN u0001@example.test secret", "a NO [UNAVAILABLE]")
			c.cmd("b LOGIN nosuchuser@example.test secret", "b NO [UNAVAILABLE]")
		},
		"POP3": func(t *testing.T) {
			c := g.dialTLS(t, g.node.POP3S)
			c.must("+OK")
			c.ok("USER u0001@example.test", "+OK")
			c.ok("PASS secret", "-ERR [SYS/TEMP]")
			c.ok("AUTH PLAIN "+plain("nosuchuser@example.test", "secret"), "-ERR [SYS/TEMP]")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ask(t)
		})
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
