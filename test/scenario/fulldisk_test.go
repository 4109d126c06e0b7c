package scenario

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rookery/test/harness"
)

// roomyDisk is a node's disk, of which next to nothing is ever used.
const roomyDisk = "8g"

// smallDisk is a disk of a node's own whose size a test changes.
type smallDisk struct {
	t    *testing.T
	path string
}

func newSmallDisk(t *testing.T, path string) smallDisk {
	t.Helper()
	must(t, os.MkdirAll(path, 0o700))
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "mode=700,size="+roomyDisk); err != nil {
		t.Skipf("skipped: no small disk can be mounted: %v (needs root)", err)
	}
	t.Cleanup(func() { syscall.Unmount(path, syscall.MNT_DETACH) })
	return smallDisk{t, path}
}

// fill takes all room down to the last byte: the disk becomes as small as what
// is on it.
func (d smallDisk) fill() {
	d.t.Helper()
	waitFor(d.t, 30*time.Second, "the disk is full", func() bool {
		var st syscall.Statfs_t
		must(d.t, syscall.Statfs(d.path, &st))
		if st.Bavail == 0 {
			return true
		}
		used := (int64(st.Blocks) - int64(st.Bfree)) * st.Bsize
		_ = syscall.Mount("tmpfs", d.path, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("mode=700,size=%d", used)) // it may have grown meanwhile
		return false
	})
}

func (d smallDisk) empty() {
	d.t.Helper()
	must(d.t, syscall.Mount("tmpfs", d.path, "tmpfs", syscall.MS_REMOUNT, "mode=700,size="+roomyDisk))
}

// selected is the answer to LOGIN where that fails, else to SELECT.
func selected(t *testing.T, d *harness.Dev, n harness.Node) (said string) {
	t.Helper()
	u := d.Facts.Users[0]
	c := dial(t, d, n.IMAPS)
	defer c.close()
	c.until("* OK")
	c.conn.SetDeadline(time.Now().Add(harness.Patience(answerWithin)))
	for _, command := range []string{fmt.Sprintf("LOGIN %s %s", u.Login, u.Password), "SELECT INBOX"} {
		c.send("a %s\r\n", command)
		for said = "*"; strings.HasPrefix(said, "*"); {
			var err error
			if said, err = c.line(); err != nil {
				return err.Error()
			}
		}
		if !strings.HasPrefix(said, "a OK") {
			break
		}
	}
	return said
}

// A disk without a single free byte, first one node's, then everybody's: no
// process ends. With one disk full the others take mail and the node itself
// carries its clients to them; with all full what cannot be done is answered as
// temporary. With room again each goes on by itself, and nothing that was
// acknowledged is lost.
func TestDiskFullToTheLastByte(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: starts three processes")
	}
	dir := t.TempDir()
	var disks []smallDisk
	for i := range 3 {
		disks = append(disks, newSmallDisk(t, filepath.Join(dir, fmt.Sprint("node", i+1))))
	}
	d := harness.StartCluster(t, dir, 3)
	nodes := d.Facts.Nodes
	o := operator{t, d, "node1"}
	o.until(time.Minute, "every group is whole", func(s status) bool { return s.whole() })
	l := startPaced(t, d, 10, 50*time.Millisecond, nodes...)
	defer l.stop()
	l.more("with room")
	alive := func(when string) {
		t.Helper()
		for _, n := range nodes {
			if err := syscall.Kill(n.PID, 0); err != nil {
				t.Fatalf("%s %s has ended: %v", when, n.Name, err)
			}
		}
		refused, _ := l.refusals()
		for _, r := range refused {
			if !strings.Contains(r, ": 4") {
				t.Errorf("%s: %s", when, r)
			}
		}
		t.Logf("%s: %d refused, the last: %q", when, len(refused), append([]string{""}, refused...)[len(refused)])
	}
	whole := func(when string) {
		t.Helper()
		o.until(2*time.Minute, when+" every group is whole and every disk has room", func(s status) bool { return s.whole() && s.room() })
		l.more(when)
	}
	alive("with room")

	for round := range 3 {
		began := time.Now()
		disks[1].fill()
		o.until(time.Minute, "the status tells of node2's disk", func(s status) bool { return s.problem("node2", "disk space") })
		l.more("with one disk full")
		hold(t, 5*time.Second)
		l.more("with one disk full for a while")
		if round == 0 {
			for _, u := range d.Facts.Users {
				if len(uids(t, d, nodes[1], u)) == 0 {
					t.Errorf("%s reads nothing through the node whose disk is full", u.Login)
				}
			}
		}
		alive("with one disk full")
		disks[1].empty()
		whole("with room again")
		alive("with room again")
		t.Logf("round %d took %v", round, time.Since(began).Round(time.Second))
	}

	for _, x := range disks {
		x.fill()
	}
	hold(t, 8*time.Second)
	for _, n := range nodes {
		if said := selected(t, d, n); !strings.HasPrefix(said, "a OK") && !strings.HasPrefix(said, "a NO [UNAVAILABLE]") {
			t.Errorf("IMAP through %s with every disk full: %q", n.Name, said)
		}
	}
	alive("with every disk full")
	for _, x := range disks {
		x.empty()
	}
	whole("with room everywhere")
	alive("with room everywhere")
	l.stop()
	t.Logf("%d messages sent, %d acknowledged", len(l.acknowledged), l.count())
	for _, n := range nodes {
		for _, u := range d.Facts.Users {
			asSent(t, d, n, u, l.acknowledged)
		}
	}
}
