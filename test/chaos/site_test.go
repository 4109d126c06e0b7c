package chaos

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rookery/directory/embedded"
	"rookery/test/harness"
)

const password = "correct horse"

// build says what a site is made of.
type build struct {
	nodes  int // 0 is three
	mutant string
	short  bool // logs are small, and packs live for a minute
}

// site is a cluster of `rookery serve` processes, each in a namespace and on a
// small disk of its own, set up by init, token and join.
type site struct {
	t *testing.T
	build
	size   int // nodes that the cluster has
	dir    string
	bin    string
	fabric *fabric
	store  *store // nil: bodies lie in a directory

	mu      sync.Mutex
	nodes   [slots]process
	stopped bool     // nothing is started any more
	disks   int      // how often a node ended over its disk: full, or stuck
	ended   []string // nodes that ended by themselves for another reason
}

type process struct {
	member bool // of the cluster
	cmd    *exec.Cmd
	done   chan struct{}
	ending bool // the test has ended it
	broken bool // a fault has it
}

// diskSize is each node's whole disk.
const diskSize = 2 << 30

func newSite(t *testing.T, seed uint64, users []string, b build) *site {
	t.Helper()
	// The directory of the test's own is on a disk of unknown size.
	size := max(b.nodes, 3)
	s := &site{t: t, build: b, size: size, dir: t.TempDir(), bin: taggedBinary(t), fabric: newFabric(t, seed, size+1)}
	var people []embedded.User
	for _, u := range users {
		people = append(people, embedded.User{UID: u, Name: u, Mail: u + "@example.test", Password: password})
	}
	run(t, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
		"/CN=localhost",
		"-addext", "subjectAltName=DNS:localhost,IP:"+directoryIP, "-keyout", s.path("key.pem"), "-out", s.path("cert.pem"))
	pair, err := tls.LoadX509KeyPair(s.path("cert.pem"), s.path("key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	ldap, err := embedded.Open(embedded.Options{
		Addr: directoryIP + ":389", TLSAddr: directoryIP + ":636", TLS: &tls.Config{Certificates: []tls.Certificate{pair}},
		AdminPassword: "admin",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ldap.Close() })
	if err := ldap.AddUser(people...); err != nil {
		t.Fatal(err)
	}
	if s.store, err = openStore(s); err != nil {
		t.Fatal(err)
	}
	if s.store != nil {
		t.Cleanup(s.store.stop)
	}
	for k := range size + 1 {
		s.makeDisk(k)
	}
	t.Cleanup(s.stop)
	settings := fmt.Sprintf("domains = [\"example.test\"]\n%s[store]\n%s[directories.main]\nurls = [\"ldaps://%s:636\"]\nca_file = "+
		"%q\nbind_dn = \"cn=admin,dc=example,dc=test\"\npassword = \"admin\"\nbase = \"dc=example,dc=test\"\nprofile = \"openldap\"\n",
		s.lives(), s.storeSettings(), directoryIP, s.path("cert.pem"))
	if err := os.WriteFile(s.path("settings.toml"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "ip", "netns", "exec", space(0), s.bin, "init", "-config", s.config(0), "-settings", s.path("settings.toml"), "-kit",
		s.path("kit.json"))
	s.nodes[0].member = true
	s.mustStart(0)
	for k := 1; k < size; k++ {
		if err := s.join(0, k); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.settled(2 * time.Minute); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) path(elem ...string) string { return filepath.Join(append([]string{s.dir}, elem...)...) }
func (s *site) data(k int) string          { return s.path(space(k), "data") }
func (s *site) config(k int) string        { return s.path(space(k) + ".toml") }

func (s *site) makeDisk(k int) {
	disk := s.path(space(k))
	if err := os.MkdirAll(disk, 0o700); err != nil {
		s.t.Fatal(err)
	}
	run(s.t, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d", diskSize), "none", disk)
	text := fmt.Sprintf(`name = %q
hostname = "localhost"
data_dir = %q
admin = %q
[cluster]
listen = "%[4]s:7717"
advertise = "%[4]s:7717"
[tls]
certificate = %[5]q
key = %[6]q
[disk]
log_budget = 268435456
soft_free = 134217728
hard_free = 67108864
cache = 67108864
[listen]
smtp = ["%[7]s:25"]
imaps = ["%[7]s:993"]
submission = []
submissions = []
imap = []
pop3 = []
pop3s = []
metrics = ["%[7]s:7719"]
`, space(k), s.data(k), s.path(space(k)+".sock"), clusterIP(k), s.path("cert.pem"), s.path("key.pem"), clientIP(k))
	if err := os.WriteFile(s.config(k), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) clock(k int) string { return s.path(space(k) + ".clock") }
func (s *site) disk(k int) string  { return s.path(space(k) + ".disk") }

// start runs a node's process; it does not wait until it serves.
func (s *site) start(k int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.nodes[k]
	if p.cmd != nil || s.stopped {
		return nil
	}
	log, err := os.OpenFile(s.path(space(k)+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command("ip", "netns", "exec", space(k), s.bin, "serve", "-config", s.config(k), "-log-level", "info")
	p.cmd.Env = append(os.Environ(), "ROOKERY_CLOCK="+s.clock(k), "ROOKERY_DISK="+s.disk(k), "ROOKERY_MUTANT="+s.mutant, "GOMAXPROCS=2")
	if s.short {
		p.cmd.Env = append(p.cmd.Env, "ROOKERY_SHORT=1")
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return err
	}
	p.done, p.ending = make(chan struct{}), false
	go s.supervise(k, p.cmd, p.done)
	return nil
}

func (s *site) mustStart(k int) {
	s.t.Helper()
	err := s.start(k)
	if err == nil {
		err = s.answers(k, time.Minute)
	}
	if err != nil {
		b, _ := os.ReadFile(s.path(space(k) + ".log"))
		s.t.Fatalf("%s: %v\n%.4000s", space(k), err, b)
	}
}

func (s *site) answers(k int, within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience(within))
	defer cancel()
	var last error
	err := harness.Poll(ctx, func() (bool, error) {
		_, last = s.status(k)
		if last != nil && !s.running(k) {
			return false, errors.New("the process ended")
		}
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%s does not answer: %w (%v)", space(k), err, last)
	}
	return nil
}

func (s *site) running(k int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes[k].cmd != nil
}

// signal sends a signal to a node's process; it reports whether one runs.
func (s *site) signal(k int, sig syscall.Signal) (chan struct{}, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.nodes[k]
	if p.cmd == nil {
		return nil, false
	}
	p.ending = p.ending || sig == syscall.SIGKILL || sig == syscall.SIGTERM
	return p.done, p.cmd.Process.Signal(sig) == nil
}

// end sends a signal and waits for the end.
func (s *site) end(k int, sig syscall.Signal) error {
	done, _ := s.signal(k, sig)
	if done == nil {
		return nil
	}
	select { // one that has ended by itself is waited for too
	case <-done:
		return nil
	case <-time.After(40 * time.Second):
		s.signal(k, syscall.SIGKILL)
		<-done
		return fmt.Errorf("%s did not end within 40 s of %v", space(k), sig)
	}
}

func (s *site) stop() {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	for k := range s.size + 1 {
		s.signal(k, syscall.SIGCONT)
		s.end(k, syscall.SIGKILL)
	}
	for k := range s.size + 1 {
		if s.t.Failed() {
			b, _ := os.ReadFile(s.path(space(k) + ".log"))
			s.t.Logf("log of %s ends:\n%s", space(k), b[max(0, len(b)-3000):])
		}
		syscall.Unmount(s.path(space(k)), syscall.MNT_DETACH)
	}
}

// report is the part of `rookery status --json` that is looked at.
type report struct {
	Nodes []struct {
		Name, State string
		Alive       bool
		Serves      int // mail groups, as the registry has confirmed it
	}
	Groups []struct {
		Group   int
		Leader  string
		Members []string
	}
	Problems []string
	Moves    []struct{ Account, State, Trouble string }
	Reads    struct{ Gets, Failed, Healed, Lost int }
	Key      struct {
		Version uint32
		Waits   []string `json:"waits_for"`
	} `json:"settings_key"`
}

func (s *site) status(k int) (r report, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, s.bin, "status", "-socket", s.path(space(k)+".sock"), "--json").Output()
	if len(out) == 0 {
		return r, errors.New("no answer")
	}
	return r, json.Unmarshal(out, &r)
}

// ask runs an operator's command against a member that answers.
func (s *site) ask(args ...string) error {
	var last error
	for _, k := range s.members() {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		out, err := exec.CommandContext(ctx, s.bin, append(args, "-socket", s.path(space(k)+".sock"))...).CombinedOutput()
		cancel()
		if err == nil {
			return nil
		}
		last = fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return last
}

// members are the slots that hold a node of the cluster.
func (s *site) members() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	var m []int
	for k := range s.nodes {
		if s.nodes[k].member {
			m = append(m, k)
		}
	}
	return m
}

func (s *site) member(k int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nodes[k].member
}

// leader is the slot that leads a group, as a member that answers says.
func (s *site) leader(group int) (int, bool) {
	for _, k := range s.members() {
		r, err := s.status(k)
		if err != nil {
			continue
		}
		for _, g := range r.Groups {
			for slot := range slots {
				if g.Group == group && g.Leader == space(slot) {
					return slot, true
				}
			}
		}
	}
	return 0, false
}

// settled waits until every group has a leader and all members, and the
// registry says so: until then sessions may be served by another node.
func (s *site) settled(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience(within))
	defer cancel()
	var last report
	err := harness.Poll(ctx, func() (bool, error) {
		for _, k := range s.members() {
			r, err := s.status(k)
			if last = r; err != nil || len(r.Groups) < 5 {
				return false, nil
			}
			for _, g := range r.Groups {
				if g.Leader == "" || len(g.Members) < 3 {
					return false, nil
				}
			}
			if strings.Contains(strings.Join(r.Problems, " "), "nodes only: groups") {
				return false, nil // of the members some were removed, and vote
			}
			for _, n := range r.Nodes {
				if s.size == 3 && len(r.Nodes) == 3 && n.State == "active" && n.Serves < len(r.Groups)-1 {
					return false, nil
				}
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("the groups have not settled: %w: %+v", err, last)
	}
	return nil
}

// place is the slot of the n-th member, for clients that spread over them.
func (s *site) place(n int) int {
	m := s.members()
	return m[n%len(m)]
}

var anyone = &tls.Config{InsecureSkipVerify: true}
