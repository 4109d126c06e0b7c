package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rookery/test/harness"
)

// machine is one more machine beside a dev cluster, set up by the operator's
// commands alone.
type machine struct {
	t      *testing.T
	dev    *harness.Dev
	name   string
	config string
}

func newMachine(t *testing.T, d *harness.Dev, name string) machine {
	t.Helper()
	m := machine{t, d, name, filepath.Join(d.Dir, name+".toml")}
	base := harness.FreePorts(t, 3)
	text := fmt.Sprintf("name = %q\nhostname = \"localhost\"\ndata_dir = %q\n[cluster]\nlisten = \"127.0.0.1:%d\"\nadvertise = "+
		"\"127.0.0.1:%d\"\n"+
		"[tls]\ncertificate = %q\nkey = %q\n[listen]\nsmtp = [\"127.0.0.1:%d\"]\nsubmission = []\nsubmissions = []\nimap = []\nimaps "+
		"= []\npop3 = []\npop3s = [\"127.0.0.1:%d\"]\n",
		name, filepath.Join(d.Dir, name), base, base, filepath.Join(d.Dir, "tls", "cert.pem"), filepath.Join(d.Dir, "tls", "key.pem"),
		base+1, base+2)
	must(t, os.WriteFile(m.config, []byte(text), 0o600))
	return m
}

// join runs rookery join with a token at one node.
func (m machine) join(token, address string) (said string, code int) {
	cmd := exec.Command(harness.Binary(m.t), "join", "-config", m.config, address)
	cmd.Env = append(os.Environ(), "ROOKERY_TOKEN="+token)
	out, err := cmd.CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		m.t.Error(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// serve runs the node until the test ends.
func (m machine) serve() {
	m.t.Helper()
	cmd := exec.Command(harness.Binary(m.t), "serve", "-config", m.config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = log, log
	must(m.t, cmd.Start())
	m.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		stuck := time.AfterFunc(harness.Patience(time.Minute), func() { cmd.Process.Kill() })
		defer stuck.Stop()
		if err := cmd.Wait(); err != nil || m.t.Failed() {
			m.t.Errorf("%s: %v\n%.4000s", m.name, err, log.String())
		}
	})
}

// token mints one on a node, and gives the addresses to use it at.
func token(t *testing.T, d *harness.Dev, at, valid string) (text string, addresses []string) {
	t.Helper()
	out, code := operator{t, d, at}.run("token", "-valid", valid, "--json")
	var minted struct {
		Token     string   `json:"token"`
		Addresses []string `json:"addresses"`
	}
	if err := json.Unmarshal([]byte(out), &minted); code != 0 || err != nil || minted.Token == "" {
		t.Fatalf("token: exit code %d, %v: %s", code, err, out)
	}
	return minted.Token, minted.Addresses
}

// A join token admits one node, once, within its time. What is refused says
// why, names the mend, and leaves the machine as it was.
func TestJoinTokens(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts four processes, and waits until a token has expired")
	}
	t.Parallel() // it mostly waits
	d := harness.StartCluster(t, t.TempDir(), 3)
	o := operator{t, d, "node1"}
	if out, code := o.run("token", "-valid", "1s"); code != 2 || !strings.Contains(out, "1 minute to 30 days") {
		t.Errorf("a token for a second: exit code %d: %s", code, out)
	}
	short, at := token(t, d, "node1", "1m")
	minted := time.Now()
	if len(at) != 3 {
		t.Fatalf("a token comes with the addresses %v", at)
	}
	refused := func(what, said string, code int) {
		t.Helper()
		if code != 1 || !strings.Contains(said, "wrong, used or expired; mint another one") {
			t.Errorf("%s: exit code %d: %s", what, code, said)
		}
	}
	late := newMachine(t, d, "late")
	good, _ := token(t, d, "node2", "1h")

	// Text that is no token, and one with another secret.
	if said, code := late.join("v1.abc", at[0]); code != 2 || !strings.Contains(said, "not a join token") {
		t.Errorf("text that is no token: exit code %d: %s", code, said)
	}
	cut := strings.LastIndex(good, ".") + 1
	other := strings.LastIndex(short, ".") + 1
	said, code := late.join(good[:cut]+short[other:], at[0])
	refused("a forged token", said, code)

	// Two machines race on one token, each at a node of its own.
	racers := []machine{newMachine(t, d, "racer1"), newMachine(t, d, "racer2")}
	var race sync.WaitGroup
	answers, codes := make([]string, 2), make([]int, 2)
	for i, m := range racers {
		race.Go(func() { answers[i], codes[i] = m.join(good, at[i+1]) })
	}
	race.Wait()
	winner, loser := 0, 1
	if codes[0] != 0 {
		winner, loser = 1, 0
	}
	if codes[winner] != 0 {
		t.Fatalf("nobody joined: %q", answers)
	}
	refused("the slower of two", answers[loser], codes[loser])
	said, code = late.join(good, at[0])
	refused("a used token", said, code)
	if said, code := racers[winner].join(good, at[0]); code != 4 || !strings.Contains(said, "a node already") {
		t.Errorf("joining with a node's directory: exit code %d: %s", code, said)
	}
	racers[winner].serve()
	o.until(time.Minute, "the one that joined lives", func(s status) bool { return s.alive(racers[winner].name) && len(s.Nodes) == 4 })

	// The loser's directory is as good as before for another token.
	again, _ := token(t, d, "node3", "1h")
	if said, code := racers[loser].join(again, at[2]); code != 0 {
		t.Errorf("another token after a refusal: exit code %d: %s", code, said)
	}

	if wait := time.Until(minted.Add(61 * time.Second)); wait > 0 {
		<-time.After(wait)
	}
	said, code = late.join(short, at[1])
	refused("an expired token", said, code)
	if st := o.until(10*time.Second, "five nodes are members", func(s status) bool { return len(s.Nodes) == 5 }); st.alive("late") {
		t.Error("a node without a good token is a member")
	}
}
