package scenario

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery/test/harness"
)

// All nodes are lost with their disks, in the middle of the work. From the backup, the
// recovery kit and the object store the cluster comes back on empty machines: what was
// acknowledged more than 15 s before is there under its UIDs, and what was lost has given
// its numbers to nothing else.
func TestAClusterComesBackFromItsArchive(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts three processes, twice")
	}
	d := harness.StartCluster(t, t.TempDir(), 3)
	nodes, user := d.Facts.Nodes, d.Facts.Users[0]
	kit := filepath.Join(t.TempDir(), "kit.json")
	operate(t, "key", "kit", kit, "-data", filepath.Join(d.Dir, "node1"))
	furnish(t, d, nodes[1], user)
	big := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 4000) // goes through stages
	for k := range 30 {
		body := "hi\r\n"
		if k%10 == 0 {
			body = big
		}
		must(t, send(nodes[k%3].SMTP, []string{user.Login}, fmt.Sprintf("From: a@example.test\r\nSubject: old %d\r\n\r\n%s", k, body)))
	}
	asked(t, 0, nil, "backup", "run", "-data", filepath.Join(d.Dir, "node1"))
	// The kit is of the first day: keys change afterwards, and somebody is erased.
	erased := d.Facts.Users[1]
	must(t, send(nodes[0].SMTP, []string{erased.Login}, "From: a@example.test\r\nSubject: of the erased\r\n\r\nhi\r\n"))
	eventually(t, time.Minute, "it is filed", func() bool { return holds(seen(t, d, nodes[0], erased), "of the erased") })
	asked(t, 0, nil, "backup", "run", "-data", filepath.Join(d.Dir, "node1"))
	operate(t, "account", "erase", erased.Login, "-yes", "-data", filepath.Join(d.Dir, "node1"))
	operator{t, d, "node1"}.keys(2*time.Minute, "it is erased", func(s keyStatus) bool {
		return len(s.Erasures) == 0 && len(s.Problems) == 0 && s.under(1) == 0 && s.under(2) > 0
	})
	before := seen(t, d, nodes[0], user)
	var waited time.Time
	for k := 0; time.Since(waited) < 15*time.Second || k < 20; k++ { // the last 15 s may be lost
		if k == 10 {
			waited = time.Now()
		}
		must(t, send(nodes[k%3].SMTP, []string{user.Login}, fmt.Sprintf("From: a@example.test\r\nSubject: new %d\r\n\r\nhi\r\n", k)))
		if k > 10 {
			time.Sleep(100 * time.Millisecond)
		}
	}
	late := seen(t, d, nodes[1], user)
	loseAll(t, d, nodes)
	config := func(k int) string { return filepath.Join(d.Dir, nodes[k].Name, "rookery.toml") }
	backup := filepath.Join(d.Dir, "backup")

	other := filepath.Join(t.TempDir(), "other.json")
	var doc map[string]any
	b, err := os.ReadFile(kit)
	must(t, err)
	must(t, json.Unmarshal(b, &doc))
	if doc["tenant_keys"] != nil || doc["private_key"] == nil {
		t.Error("the kit has the keys themselves")
	}
	doc["cluster"] = "another"
	b, err = json.Marshal(doc)
	must(t, err)
	must(t, os.WriteFile(other, b, 0o600))
	for _, x := range []struct {
		code int
		args []string
	}{
		{2, []string{"-kit", kit, "-from", backup}}, // asks, and there is no terminal
		{2, []string{"-kit", other, "-from", backup, "-yes"}},
		{2, []string{"-kit", kit, "-from", t.TempDir(), "-yes"}},
		{3, []string{"-kit", kit, "-from", backup, "-yes", "-at", time.Now().Add(-24 * time.Hour).Format(time.RFC3339)}},
		{3, []string{"-kit", kit, "-from", backup, "-yes", "-at", time.Now().Format(time.RFC3339)}},
	} {
		asked(t, x.code, nil, append([]string{"restore", "cluster", "-config", config(0)}, x.args...)...)
	}
	var back struct {
		At     time.Time
		Groups []struct {
			Lost int `json:"lost_bodies"`
		}
		Removed int `json:"removed_nodes"`
	}
	began := time.Now()
	asked(t, 0, &back, "restore", "cluster", "-config", config(0), "-kit", kit, "-from", backup, "-yes")
	if len(back.Groups) < 5 || back.Removed != 3 {
		t.Errorf("brought back: %+v", back)
	}
	for _, g := range back.Groups {
		if g.Lost > 0 {
			t.Errorf("bodies were lost: %+v", back)
		}
	}
	asked(t, 4, nil, "restore", "cluster", "-config", config(0), "-kit", kit, "-from", backup, "-yes")
	must(t, d.StartNode(nodes[0].Name))
	first := seen(t, d, nodes[0], user)
	t.Logf("%d messages of %d are back, and the first sign-in was after %v", len(first.subjects), len(late.subjects), time.Since(began))
	if first.validity != before.validity {
		t.Errorf("UIDVALIDITY was %d and is %d", before.validity, first.validity)
	}
	for uid, subject := range before.subjects {
		if first.subjects[uid] != subject {
			t.Errorf("UID %d was %q and is %q", uid, subject, first.subjects[uid])
		}
	}
	for uid, subject := range first.subjects {
		if late.subjects[uid] != subject {
			t.Errorf("UID %d is %q and was %q", uid, subject, late.subjects[uid])
		}
	}
	for uid, subject := range late.subjects {
		var n int
		if _, err := fmt.Sscanf(subject, "new %d", &n); err == nil && n <= 10 && first.subjects[uid] != subject {
			t.Errorf("%q was acknowledged more than 15 s before the end, and is lost", subject)
		}
	}
	if holds(seen(t, d, nodes[0], erased), "of the erased") {
		t.Error("mail of an erased account is back")
	}
	// A client that had seen the lost future learns that it is gone.
	c := dial(t, d, nodes[0].IMAPS)
	c.until("* OK")
	c.send("a LOGIN %s %s\r\nb ENABLE QRESYNC\r\nc SELECT INBOX (QRESYNC (%d %d))\r\n", user.Login, user.Password, late.validity, late.modseq)
	lines := strings.Join(c.until("c OK"), "\n")
	c.close()
	must(t, c.err)
	for uid := range late.subjects {
		if _, there := first.subjects[uid]; !there && !vanished(lines, uid) {
			t.Errorf("UID %d is gone, and the client is not told: %s", uid, lines)
		}
	}
	must(t, send(nodes[0].SMTP, []string{user.Login}, "From: a@example.test\r\nSubject: after\r\n\r\nhi\r\n"))
	eventually(t, time.Minute, "new mail has a number that nobody has seen", func() bool {
		for uid, subject := range seen(t, d, nodes[0], user).subjects {
			if subject == "after" {
				return uid > late.next+1000
			}
		}
		return false
	})
	joinOthers(t, d)
	for uid, subject := range seen(t, d, nodes[2], user).subjects {
		if subject != "after" && first.subjects[uid] != subject {
			t.Errorf("on another node UID %d is %q and was %q", uid, subject, first.subjects[uid])
		}
	}
	eventually(t, time.Minute, "the archive goes on", func() bool {
		var st struct{ Problems []string }
		out, err := exec.Command(harness.Binary(t), "backup", "status", "--json", "-data", filepath.Join(d.Dir, "node2")).Output()
		return err == nil && json.Unmarshal(out, &st) == nil && len(st.Problems) == 0
	})
}

// loseAll kills every node and puts an empty directory with the node file in the place of
// each one's.
func loseAll(t *testing.T, d *harness.Dev, nodes []harness.Node) {
	t.Helper()
	for _, n := range nodes {
		must(t, d.KillNode(n.Name))
	}
	for _, n := range nodes {
		dir := filepath.Join(d.Dir, n.Name)
		b, err := os.ReadFile(filepath.Join(dir, "rookery.toml"))
		must(t, err)
		must(t, os.RemoveAll(dir))
		must(t, os.Mkdir(dir, 0o700))
		must(t, os.WriteFile(filepath.Join(dir, "rookery.toml"), b, 0o600))
	}
}

// joinOthers has all nodes but the first join it.
func joinOthers(t *testing.T, d *harness.Dev) {
	t.Helper()
	for _, n := range d.Facts.Nodes[1:] {
		text, at := token(t, d, "node1", "1h")
		if said, code := (machine{t: t, dev: d, config: filepath.Join(d.Dir, n.Name, "rookery.toml")}).join(text, at[0]); code != 0 {
			t.Fatalf("join: exit code %d: %s", code, said)
		}
		must(t, d.StartNode(n.Name))
	}
	operator{t, d, "node1"}.until(2*time.Minute, "every group is whole on three nodes", func(s status) bool {
		return s.whole() && len(s.Nodes) >= 3
	})
}

// Whole sites are lost at random moments under load, again and again, and come back from
// the archive: nothing is missing that was acknowledged more than 15 s before. ROOKERY_SITES
// is how many.
func TestSitesAreLostUnderLoad(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("ROOKERY_SITES"))
	if rounds == 0 {
		t.Skip("skipped: ROOKERY_SITES says how many sites are lost")
	}
	d := harness.StartCluster(t, t.TempDir(), 3)
	nodes, user := d.Facts.Nodes, d.Facts.Users[0]
	kit := filepath.Join(t.TempDir(), "kit.json")
	operate(t, "key", "kit", kit, "-data", filepath.Join(d.Dir, "node1"))
	var worst, total time.Duration
	all := map[string]time.Time{} // what was acknowledged, and has to be there
	for round := range rounds {
		asked(t, 0, nil, "backup", "run", "-data", filepath.Join(d.Dir, "node1"))
		var mu sync.Mutex
		acked := map[string]time.Time{}
		stop := make(chan struct{})
		var senders sync.WaitGroup
		for k := range nodes {
			senders.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					case <-time.After(time.Duration(20+rand.IntN(60)) * time.Millisecond):
					}
					subject := fmt.Sprintf("round %d from %d number %d", round, k, i)
					if send(nodes[k].SMTP, []string{user.Login}, "From: a@example.test\r\nSubject: "+subject+"\r\n\r\nhi\r\n") == nil {
						mu.Lock()
						acked[subject] = time.Now()
						mu.Unlock()
					}
				}
			})
		}
		time.Sleep(20*time.Second + time.Duration(rand.Int64N(20e9)))
		killed := time.Now()
		loseAll(t, d, nodes)
		close(stop)
		senders.Wait()
		asked(t, 0, nil, "restore", "cluster", "-config", filepath.Join(d.Dir, "node1", "rookery.toml"), "-kit", kit, "-from",
			filepath.Join(d.Dir, "backup"), "-yes")
		must(t, d.StartNode("node1"))
		there := map[string]int{}
		for _, subject := range seen(t, d, nodes[0], user).subjects {
			there[subject]++
		}
		var missing time.Duration
		lost := 0
		for subject, at := range acked {
			if there[subject] == 0 {
				lost++
				missing = max(missing, killed.Sub(at))
			} else {
				all[subject] = at
			}
		}
		for subject := range all {
			if there[subject] != 1 {
				t.Errorf("round %d: %q is there %d times", round, subject, there[subject])
			}
		}
		t.Logf("round %d: %d acknowledged, %d lost, the oldest %v before the end", round, len(acked), lost, missing)
		if missing > 15*time.Second {
			t.Errorf("round %d: mail that was acknowledged %v before the end is lost", round, missing)
		}
		worst, total = max(worst, missing), total+missing
		joinOthers(t, d)
	}
	t.Logf("%d sites lost: at most %v of acknowledged mail missing, %v on average", rounds, worst, total/time.Duration(rounds))
}

// mailboxSeen is what a client knows of INBOX.
type mailboxSeen struct {
	validity, next, modseq int
	subjects               map[int]string
}

var (
	seenNumber  = regexp.MustCompile(`\[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d+)`)
	seenUID     = regexp.MustCompile(`\(UID (\d+)|UID (\d+)`)
	seenVanish  = regexp.MustCompile(`VANISHED \(EARLIER\) ([0-9:,]+)`)
	seenSubject = regexp.MustCompile(`(?i)^Subject: (.*)`)
)

// seen reads INBOX as a client does that downloads all of it.
func seen(t *testing.T, d *harness.Dev, n harness.Node, u harness.User) (m mailboxSeen) {
	t.Helper()
	m.subjects = map[int]string{}
	c := dial(t, d, n.IMAPS)
	c.until("* OK")
	c.send("a LOGIN %s %s\r\nb SELECT INBOX\r\n", u.Login, u.Password)
	for _, line := range c.until("b OK") {
		for _, x := range seenNumber.FindAllStringSubmatch(line, -1) {
			v, _ := strconv.Atoi(x[2])
			switch x[1] {
			case "UIDVALIDITY":
				m.validity = v
			case "UIDNEXT":
				m.next = v
			default:
				m.modseq = v
			}
		}
	}
	c.send("c UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])\r\n")
	uid := 0
	for _, line := range c.until("c OK") {
		if x := seenUID.FindStringSubmatch(line); strings.HasPrefix(line, "* ") && x != nil {
			uid, _ = strconv.Atoi(x[1] + x[2])
		}
		if x := seenSubject.FindStringSubmatch(strings.TrimSpace(line)); x != nil {
			m.subjects[uid] = x[1]
		}
	}
	c.send("d UID FETCH 1:* BODY.PEEK[]\r\n") // every body is there
	for _, line := range c.until("d ") {
		if strings.HasPrefix(line, "d ") && !strings.HasPrefix(line, "d OK") {
			t.Errorf("bodies on %s: %s", n.Name, line)
		}
	}
	c.close()
	if c.err != nil {
		t.Fatalf("INBOX on %s: %v", n.Name, c.err)
	}
	return m
}

func holds(m mailboxSeen, subject string) bool {
	for _, s := range m.subjects {
		if s == subject {
			return true
		}
	}
	return false
}

// vanished reports whether a client was told that a UID is gone.
func vanished(lines string, uid int) bool {
	for _, x := range seenVanish.FindAllStringSubmatch(lines, -1) {
		for _, r := range strings.Split(x[1], ",") {
			from, to, span := strings.Cut(r, ":")
			a, _ := strconv.Atoi(from)
			b, _ := strconv.Atoi(to)
			if !span {
				b = a
			}
			if a <= uid && uid <= b {
				return true
			}
		}
	}
	return false
}
