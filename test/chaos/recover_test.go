package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"

	"rookery/test/harness"
)

// TestRecoverOneOfThree loses two nodes of three for ever, under load, after
// the survivor has already been away for a while: so there is mail that only
// the dead majority had, and UIDs that clients saw and the survivor never. The
// survivor must keep all it held under the same UIDs, give none of those
// again, refuse the dead, and grow to three nodes anew.
func TestRecoverOneOfThree(t *testing.T) {
	d := harness.StartCluster(t, t.TempDir(), 3)
	conf := d.TLS(t)
	l := newLedger()
	var users []string
	for _, u := range d.Facts.Users {
		users = append(users, u.Login)
	}
	var serial atomic.Int64
	load := func(nodes ...int) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i, k := range nodes {
			s := &sender{addr: d.Facts.Nodes[k].SMTP, users: users, ledger: l, serial: &serial, rnd: rand.New(rand.NewPCG(1, uint64(i)))}
			wg.Go(func() { s.run(ctx) })
		}
		return func() { cancel(); wg.Wait() }
	}
	acked := func() int { n, _ := l.counts(); return n }
	kill := func(name string) {
		if err := d.KillNode(name); err != nil {
			t.Fatal(err)
		}
	}
	stop := load(0, 1, 2)
	waitUntil(t, time.Minute, "no mail is accepted", func() bool { return acked() > 60 })
	stop()
	checkNode(t, d, conf, d.Facts.Nodes[0], l)
	seen := time.Now()
	before := boxes(t, d, 0) // what the survivor holds for certain, once it is on the disk
	waitUntil(t, time.Minute, "time stands still", func() bool { return time.Since(seen) > time.Second })
	stop = load(0, 1, 2)
	kill("node1")
	at := acked()
	waitUntil(t, time.Minute, "no mail is accepted by the majority", func() bool { return acked() > at+60 })
	stop()
	dead := boxes(t, d, 1) // what clients saw and may never see again
	kill("node2")

	// One of three is left besides the killed: no quorum, everything doubtful
	// is temporary.
	temporary(t, d, d.Facts.Nodes[2])
	kill("node3")

	report := filepath.Join(d.Dir, "report.json")
	dir := filepath.Join(d.Dir, "node1")
	if out := rookery(t, 0, "recover", "inspect", "-data", dir, "--json"); os.WriteFile(report, []byte(out), 0o600) != nil {
		t.Fatal("cannot write the report")
	}
	rookery(t, 2, "recover", "apply", "-data", dir, report) // not confirmed
	out := rookery(t, 0, "recover", "apply", "-data", dir, "-yes", report)
	for _, want := range []string{"node2", "node3", "may be lost"} {
		if !strings.Contains(out, want) {
			t.Errorf("apply does not say %q:\n%s", want, out)
		}
	}
	if err := d.StartNode("node1"); err != nil {
		t.Fatal(err)
	}
	stop = load(0)
	at = acked()
	waitUntil(t, time.Minute, "the recovered node accepts no mail", func() bool { return acked() > at+30 })
	stop()
	after := boxes(t, d, 0)
	for login, was := range before {
		now := after[login]
		if now.validity != was.validity {
			t.Errorf("%s: UIDVALIDITY was %d and is %d", login, was.validity, now.validity)
		}
		for uid, id := range was.uids {
			if now.uids[uid] != id {
				t.Errorf("%s: UID %d was %s and is %q", login, uid, id, now.uids[uid])
			}
		}
		for uid, id := range dead[login].uids {
			got := now.uids[uid]
			if got != "" && got != id {
				t.Errorf("%s: UID %d was %s on a dead node and is %s now", login, uid, id, got)
			}
		}
		if lost := missingFrom(dead[login].uids, now.uids); lost == 0 {
			t.Errorf("%s: the dead majority had nothing of its own: the test hits too little", login)
		}
	}

	// The dead come back with their old disks: each alone hears that it is
	// removed and ends with its own exit code.
	for _, name := range []string{"node2", "node3"} {
		cmd := exec.Command(harness.Binary(t), "serve", "-config", filepath.Join(d.Dir, name, "rookery.toml"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		var text bytes.Buffer
		cmd.Stdout, cmd.Stderr = &text, &text
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(harness.Patience(time.Minute), func() { cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 7 || !strings.Contains(text.String(), "removed from the cluster") {
			t.Errorf("%s came back and ended with %v:\n%.2000s", name, err, text.String())
		}
	}

	// And the cluster grows again.
	for _, k := range []int{1, 2} {
		join(t, d, k)
	}
	waitUntil(t, 2*time.Minute, "the cluster does not grow to three", func() bool {
		out, _ := exec.Command(harness.Binary(t), "status", "-data", dir, "--json").Output()
		if strings.Contains(string(out), "rookery key kit FILE") { // the removed know the settings key of before
			kit := filepath.Join(t.TempDir(), "kit.json")
			if text, err := exec.Command(harness.Binary(t), "key", "kit", kit, "-data", dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
		}
		return strings.Contains(string(out), `"problems": []`)
	})
	kill("node1") // no matter any more
	waitUntil(t, time.Minute, "a joined node lacks mail", func() bool {
		v, box, err := inbox(d.Facts.Nodes[2].IMAPS, conf, users[0], d.Facts.Users[0].Password)
		return err == nil && v == after[users[0]].validity && missingFrom(after[users[0]].uids, box) == 0
	})
	if err := d.StartNode("node1"); err != nil {
		t.Fatal(err)
	}
}

type mailboxSeen struct {
	validity uint32
	uids     map[uint32]string
}

// boxes reads every INBOX through one node.
func boxes(t *testing.T, d *harness.Dev, node int) map[string]mailboxSeen {
	t.Helper()
	out := map[string]mailboxSeen{}
	for _, u := range d.Facts.Users {
		waitUntil(t, time.Minute, "no INBOX of "+u.Login, func() bool {
			v, box, err := inbox(d.Facts.Nodes[node].IMAPS, d.TLS(t), u.Login, u.Password)
			out[u.Login] = mailboxSeen{v, box}
			return err == nil
		})
	}
	return out
}

// missingFrom counts what a mailbox had and has not any more.
func missingFrom(had, has map[uint32]string) (n int) {
	for uid, id := range had {
		if has[uid] != id {
			n++
		}
	}
	return n
}

// temporary checks the answers of a node without quorum.
func temporary(t *testing.T, d *harness.Dev, n harness.Node) {
	t.Helper()
	u := d.Facts.Users[0]
	c, err := imapclient.DialTLS(n.IMAPS, &imapclient.Options{TLSConfig: d.TLS(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(u.Login, u.Password).Wait(); err == nil {
		_, err = c.Select("INBOX", nil).Wait()
		if err == nil {
			t.Error("SELECT works without a quorum")
		} else if !strings.Contains(err.Error(), "UNAVAILABLE") {
			t.Errorf("SELECT without a quorum: %v, want NO [UNAVAILABLE]", err)
		}
	} else if !strings.Contains(err.Error(), "UNAVAILABLE") {
		t.Errorf("LOGIN without a quorum: %v, want NO [UNAVAILABLE]", err)
	}
}

// rookery runs a command of the binary and checks its exit code.
func rookery(t *testing.T, code int, args ...string) string {
	t.Helper()
	cmd := exec.Command(harness.Binary(t), args...)
	var out, text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &text
	err := cmd.Run()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		t.Fatalf("rookery %v: %v, want exit code %d\n%s%s", args, err, code, out.String(), text.String())
	}
	return out.String()
}

// join makes a new machine out of a dead node's ports and starts it.
func join(t *testing.T, d *harness.Dev, k int) {
	t.Helper()
	old := filepath.Join(d.Dir, fmt.Sprintf("node%d", k+1))
	b, err := os.ReadFile(filepath.Join(old, "rookery.toml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := old + "-new"
	conf := dir + ".toml"
	text := strings.ReplaceAll(string(b), old, dir)
	text = strings.Replace(text, fmt.Sprintf("node%d'", k+1), fmt.Sprintf("new%d'", k+1), 1)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out := rookery(t, 0, "token", "-data", filepath.Join(d.Dir, "node1"), "--json")
	var token, addr string
	for _, f := range strings.Split(out, `"`) {
		if strings.HasPrefix(f, "v1.") {
			token = f
		}
		if addr == "" && strings.HasPrefix(f, "127.0.0.1:") {
			addr = f
		}
	}
	cmd := exec.Command(harness.Binary(t), "join", "-config", conf, addr)
	cmd.Env = append(os.Environ(), "ROOKERY_TOKEN="+token)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("join: %v\n%s", err, out)
	}
	serve := exec.Command(harness.Binary(t), "serve", "-config", conf)
	serve.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { serve.Process.Signal(syscall.SIGTERM); serve.Wait() })
}
