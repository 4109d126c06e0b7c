package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// side is one server under test.
type side struct {
	name     string
	nodes    []doors
	login    func(i int) string // of user 1..users
	address  func(i int) string
	password string
	roots    func() []int // processes whose trees are measured
	stop     func()
	cluster  *cluster // of Rookery
	// restart, where set, begins the server's memory anew: what earlier loads
	// left free would hide what connections take.
	restart func() error
	// fill puts n messages into a user's INBOX by the quickest way there is;
	// nil means by IMAP APPEND.
	fill func(user, n int, message []byte) error
}

// doors are where one node of a side is reached.
type doors struct{ smtp, imaps, pop3s string }

// at is the node of the i-th user or session: load is spread over all.
func (s *side) at(i int) doors { return s.nodes[i%len(s.nodes)] }

const users = 100

// conf trusts anybody: both sides are on loopback with throwaway certificates.
var conf = &tls.Config{InsecureSkipVerify: true, ClientSessionCache: nil}

func startRookery(binary string, nodes, portBase int, flags ...string) (*side, error) {
	dir, err := os.MkdirTemp("", "rookery-bench-*")
	if err != nil {
		return nil, err
	}
	logFile, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	args := append([]string{"dev", "-nodes", fmt.Sprint(nodes), "-data", filepath.Join(dir, "data"), "-port-base",
		fmt.Sprint(portBase), "-log-level", "warn"}, flags...)
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &side{name: title(nodes), password: "pass"}
	s.stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		os.RemoveAll(dir)
	}
	facts, err := waitFacts(filepath.Join(dir, "data", "dev.json"))
	if err != nil {
		printed, _ := os.ReadFile(logFile.Name())
		s.stop()
		return nil, fmt.Errorf("%w\n%s", err, printed)
	}
	for _, n := range facts.Nodes {
		s.nodes = append(s.nodes, doors{n.SMTP, n.IMAPS, n.POP3S})
	}
	s.address = func(i int) string { return fmt.Sprintf("test%d@example.test", i) }
	s.login = s.address
	s.roots = func() []int { return []int{cmd.Process.Pid} }
	s.cluster = &cluster{binary: binary, data: filepath.Join(dir, "data"), size: nodes, base: portBase}
	s.restart = func() error {
		for k := range nodes {
			if err := errors.Join(s.cluster.order("kill", k), s.cluster.order("start", k)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := addUsers(facts); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func title(nodes int) string {
	if nodes == 1 {
		return "one node"
	}
	return fmt.Sprintf("%d nodes", nodes)
}

type devFacts struct {
	Nodes []struct{ SMTP, IMAPS, POP3S string }
	LDAP  string
	Admin struct{ DN, Password, Base string } `json:"ldap_admin"`
}

func waitFacts(path string) (f devFacts, err error) {
	for range 600 {
		b, err := os.ReadFile(path)
		if err == nil {
			return f, json.Unmarshal(b, &f)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return f, errors.New("rookery dev did not come up within a minute")
}

func addUsers(f devFacts) error {
	var ldif bytes.Buffer
	for i := 1; i <= users; i++ {
		fmt.Fprintf(&ldif, "dn: uid=test%[1]d,ou=people,%[2]s\nobjectClass: inetOrgPerson\nuid: test%[1]d\ncn: Test %[1]d\nsn: Test\n"+
			"mail: test%[1]d@example.test\nuserPassword: pass\n\n", i, f.Admin.Base)
	}
	cmd := exec.Command("ldapadd", "-x", "-H", "ldap://"+f.LDAP, "-D", f.Admin.DN, "-w", f.Admin.Password)
	cmd.Stdin = &ldif
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ldapadd: %w\n%.2000s", err, out)
	}
	return nil
}

func startPeers(dir string) (*side, error) {
	work := filepath.Join(os.TempDir(), "rookery-bench-peers")
	// imap-hibernate and the like are off by default in Debian: defaults stay.
	env := append(os.Environ(), "WORK="+work, "FORMAT=maildir", "LOGIN_SERVICE_COUNT=1")
	sh := func(script string, args ...string) error {
		cmd := exec.Command("bash", append([]string{filepath.Join(dir, script)}, args...)...)
		cmd.Env = env
		// A file, not a pipe: the daemons keep it open.
		out, err := os.CreateTemp("", "rookery-bench-*.log")
		if err != nil {
			return err
		}
		defer os.Remove(out.Name())
		defer out.Close()
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			text, _ := os.ReadFile(out.Name())
			return fmt.Errorf("%s: %w\n%s", script, err, text)
		}
		return nil
	}
	s := &side{name: "Postfix + Dovecot", password: "pass", nodes: []doors{{"127.0.0.1:11025", "127.0.0.1:11993", "127.0.0.1:11995"}}}
	s.address = func(i int) string { return fmt.Sprintf("test%d@example.test", i) }
	s.login = func(i int) string { return fmt.Sprintf("test%d", i) }
	s.stop = func() {
		sh("postfix-peer.sh", "stop")
		sh("dovecot-peer.sh", "stop")
		os.RemoveAll(work)
	}
	s.stop()
	for _, script := range []string{"dovecot-peer.sh", "postfix-peer.sh"} {
		if err := sh(script, "start"); err != nil {
			s.stop()
			return nil, err
		}
	}
	s.roots = func() []int {
		return []int{pidIn(filepath.Join(work, "dovecot/run/master.pid")), pidIn(filepath.Join(work, "postfix/queue/pid/master.pid"))}
	}
	s.fill = func(u, n int, message []byte) error {
		return fillMaildir(filepath.Join(work, "mail-maildir", fmt.Sprintf("test%d", u), "Maildir"), n, message)
	}
	return s, nil
}

func pidIn(path string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}

// fillMaildir writes the files that as many deliveries would have left.
func fillMaildir(dir string, n int, message []byte) error {
	owner, err := user.Lookup("vmail")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	message = bytes.ReplaceAll(message, []byte("\r\n"), []byte("\n"))
	for _, d := range []string{filepath.Dir(dir), dir, dir + "/cur", dir + "/new", dir + "/tmp"} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
		if err := os.Chown(d, uid, gid); err != nil {
			return err
		}
	}
	for i := range n {
		path := fmt.Sprintf("%s/new/%d.M%dP1.bench", dir, time.Now().Unix(), i)
		if err := os.WriteFile(path, message, 0o600); err != nil {
			return err
		}
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
	}
	return nil
}
