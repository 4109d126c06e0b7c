package scenario

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"rookery/test/harness"
	"rookery/test/quirk"
)

// outageDisk is a disk for four nodes on which 4 GiB of free space, the soft
// limit, is reached after about 1 GiB of mail.
const outageDisk = "6200m"

// The object store is away in every way there is, under load, and meanwhile a
// node dies and is replaced by another. Nothing is refused until the disk's
// soft limit, then new mail gets 452 and what is there can be read; when the
// store is back the logs drain and mail is taken again, by themselves. At the
// end every acknowledged message is in each mailbox once, as it was sent.
func TestStoreOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts four processes")
	}
	store := quirk.New(t, harness.S3(t), 1)
	d := harness.StartClusterOn(t, mount(t, outageDisk), 4, store.URL)
	nodes := d.Facts.Nodes
	o := operator{t, d, "node1"}
	if out, code := o.run("config", "set", "replace_after", "6s"); code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	o.until(time.Minute, "every group is whole", func(s status) bool { return s.whole() })
	l := startPaced(t, d, 20, 100*time.Millisecond, nodes...)
	defer l.stop()
	began, trials := time.Now(), store.Count(quirk.Put)
	l.more("with the store there")
	o.until(time.Minute, "bodies go into the store", func(status) bool { return store.Count(quirk.Put) >= trials+4 })
	report(t, l, began, "with the store there")

	began = time.Now()
	for _, kind := range []quirk.Kind{quirk.SlowDown, quirk.BadSecret, quirk.Internal, quirk.LoseReply, quirk.Hang, quirk.Refuse} {
		store.Set(quirk.Fault{Kind: kind})
		l.more("while the store answers every request with: " + kind.String())
		hold(t, 2*time.Second)
	}
	st := o.until(time.Minute, "the status tells of the store and of the backlog's age", func(s status) bool {
		return s.problem("object store", "wait in the logs") && s.oldest() >= 5
	})
	t.Logf("problems: %q", st.Problems)
	must(t, d.KillNode("node2"))
	o.until(2*time.Minute, "node2 is replaced while the store is away", func(s status) bool { return s.whole("node2") })
	if out, code := o.run("remove", "node2", "-yes"); code != 0 {
		t.Fatalf("remove: exit code %d: %s", code, out)
	}
	l.more("after the replacement")
	report(t, l, began, "with the store away and a node replaced")

	began = time.Now()
	full := func() (said string) {
		refused, _ := l.refusals()
		for _, r := range refused {
			if !strings.Contains(r, ": 452 ") {
				t.Errorf("at the disk's limit: %s", r)
			}
			said = r
		}
		return said
	}
	fill, stop := context.WithCancel(t.Context())
	defer stop()
	go fillUp(fill, d)
	var said string
	waitFor(t, 4*time.Minute, "no 452 at the disk's limit", func() bool { said = full(); return said != "" })
	stop()
	t.Logf("refused at the limit, after %v: %s", time.Since(began).Round(time.Second), said)
	before := map[string]map[imap.UID]string{}
	for _, u := range d.Facts.Users {
		if before[u.Login] = uids(t, d, nodes[2], u); len(before[u.Login]) == 0 {
			t.Errorf("%s can read nothing at the limit", u.Login)
		}
	}

	store.Set()
	began = time.Now()
	looks := 0 // the first room that there is may be taken again at once
	o.until(5*time.Minute, "the logs drain and the disk has room", func(s status) bool {
		full()
		if looks++; s.oldest() >= 20 || !s.room() {
			looks = 0
		}
		return looks >= 20
	})
	t.Logf("drained %v after the store came back", time.Since(began).Round(time.Second))
	full()
	l.more("with the store back")
	report(t, l, began, "with the store back")
	l.stop()
	o.until(time.Minute, "everything is in the store", func(s status) bool { return s.unpacked() == 0 })
	t.Logf("%d messages sent, %d acknowledged, %d PUTs, %d GETs", len(l.acknowledged), l.count(), store.Count(quirk.Put),
		store.Count(quirk.Get))
	for _, n := range []int{0, 2, 3} {
		for _, u := range d.Facts.Users {
			asSent(t, d, nodes[n], u, l.acknowledged)
			after := uids(t, d, nodes[n], u)
			for uid, subject := range before[u.Login] {
				if after[uid] != subject {
					t.Errorf("%s through %s: UID %d was %q and is %q", u.Login, nodes[n].Name, uid, subject, after[uid])
				}
			}
		}
	}
}

// report tells the rate of a time and that nothing was refused in it.
func report(t *testing.T, l *load, began time.Time, when string) {
	t.Helper()
	refused, slowest := l.refusals()
	for _, r := range refused {
		t.Errorf("%s: %s", when, r)
	}
	t.Logf("%s (%v): %d messages acknowledged so far, the slowest took %v", when, time.Since(began).Round(time.Second), l.count(),
		slowest.Round(time.Millisecond))
}

func hold(t *testing.T, d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

func waitFor(t *testing.T, within time.Duration, what string, fn func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience(within))
	defer cancel()
	if harness.Poll(ctx, func() (bool, error) { return fn(), nil }) != nil {
		t.Fatalf("not within %v: %s", harness.Patience(within), what)
	}
}

// fillUp sends large messages that nobody counts.
func fillUp(ctx context.Context, d *harness.Dev) {
	body := incompressible(8_000_000)
	for i := 0; ctx.Err() == nil; i++ {
		u := d.Facts.Users[i%len(d.Facts.Users)]
		send(d.Facts.Nodes[2].SMTP, []string{u.Login}, "Subject: filling\r\nX-Filling: 1\r\n\r\n"+body)
	}
}

// mount gives a directory on a disk of its own, or skips the test.
func mount(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("skipped: no small disk can be mounted: %v (needs root)", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (s status) unpacked() (n int) {
	for _, g := range s.Groups {
		n += g.Bodies
	}
	return n
}

func (s status) oldest() (seconds int64) {
	for _, g := range s.Groups {
		seconds = max(seconds, g.Oldest)
	}
	return seconds
}

// room reports whether every node's disk is above its limits.
func (s status) room() bool {
	for _, n := range s.Nodes {
		if n.Disk != "ok" {
			return false
		}
	}
	return true
}

// asSent reads every message of a mailbox through a node: what was acknowledged
// is there once, and what is there is as it was sent.
func asSent(t *testing.T, d *harness.Dev, n harness.Node, u harness.User, acknowledged map[string]bool) {
	t.Helper()
	seen, err := fetchAll(d, t, n, u)
	if err != nil {
		t.Errorf("%s through %s: %v", u.Login, n.Name, err)
		return
	}
	lost := 0
	for s, ok := range acknowledged {
		if ok && seen[s] == 0 {
			lost++
		}
		if seen[s] > 1 {
			t.Errorf("%s has %q %d times", u.Login, s, seen[s])
		}
	}
	if lost > 0 {
		t.Errorf("%s through %s lacks %d acknowledged messages", u.Login, n.Name, lost)
	}
}

// uids are the subjects of an inbox by UID, which rise with the sequence
// numbers.
func uids(t *testing.T, d *harness.Dev, n harness.Node, u harness.User) map[imap.UID]string {
	t.Helper()
	c, err := inbox(t, d, n, u)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all, err := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{UID: true, Envelope: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	by := map[imap.UID]string{}
	last := imap.UID(0)
	for _, m := range all {
		if m.UID <= last {
			t.Errorf("%s through %s: UID %d comes after %d", u.Login, n.Name, m.UID, last)
		}
		last, by[m.UID] = m.UID, m.Envelope.Subject
	}
	return by
}

func inbox(t *testing.T, d *harness.Dev, n harness.Node, u harness.User) (*imapclient.Client, error) {
	c, err := imapclient.DialTLS(n.IMAPS, &imapclient.Options{TLSConfig: d.TLS(t)})
	if err != nil {
		return nil, err
	}
	if err = c.Login(u.Login, u.Password).Wait(); err == nil {
		_, err = c.Select("INBOX", nil).Wait()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func fetchAll(d *harness.Dev, t *testing.T, n harness.Node, u harness.User) (map[string]int, error) {
	c, err := inbox(t, d, n, u)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	whole := &imap.FetchItemBodySection{Peek: true}
	cmd := c.Fetch(imap.SeqSet{{Start: 1, Stop: 0}}, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{whole}})
	defer cmd.Close()
	seen := map[string]int{}
	for m := cmd.Next(); m != nil; m = cmd.Next() {
		b, err := m.Collect()
		if err != nil {
			return nil, err
		}
		head, body, _ := bytes.Cut(b.FindBodySection(whole), []byte("\r\n\r\n"))
		subject, want := field(head, "Subject"), field(head, "X-Digest")
		if want != "" && digest(string(body)) != want {
			return nil, fmt.Errorf("message %d, %q, is not as it was sent", b.SeqNum, subject)
		}
		seen[subject]++
	}
	return seen, cmd.Close()
}

func field(head []byte, name string) string {
	for line := range bytes.Lines(head) {
		if v, ok := bytes.CutPrefix(line, []byte(name+": ")); ok {
			return string(bytes.TrimSpace(v))
		}
	}
	return ""
}
