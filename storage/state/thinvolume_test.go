package state

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// thinVolume is a file system that believes it has 256 MiB, on a disk with less:
// what it takes at a write it may not get onto the disk at the fsync.
type thinVolume struct {
	t         *testing.T
	disk, dir string
}

func newThinVolume(t *testing.T) thinVolume {
	t.Helper()
	v := thinVolume{t, filepath.Join(t.TempDir(), "disk"), filepath.Join(t.TempDir(), "volume")}
	for _, dir := range []string{v.disk, v.dir} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mount("tmpfs", v.disk, "tmpfs", 0, "size=256m"); err != nil {
		t.Skipf("skipped: no small disk can be mounted: %v (needs root)", err)
	}
	t.Cleanup(func() { syscall.Unmount(v.disk, syscall.MNT_DETACH) })
	image := filepath.Join(v.disk, "image")
	for _, command := range [][]string{
		{"truncate", "-s", "256M", image},
		{"mkfs.ext2", "-q", "-E", "nodiscard", image},
		{"mount", "-o", "loop", image, v.dir},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("skipped: no file system can be mounted over a file: %s: %v: %s", strings.Join(command, " "), err, out)
		}
	}
	t.Cleanup(func() { syscall.Unmount(v.dir, syscall.MNT_DETACH) })
	return v
}

// size makes the disk below larger, or as small as what is on it.
func (v thinVolume) size(roomy bool) {
	v.t.Helper()
	size := int64(256 << 20)
	if !roomy {
		var st syscall.Statfs_t
		if err := syscall.Statfs(v.disk, &st); err != nil {
			v.t.Fatal(err)
		}
		size = (int64(st.Blocks)-int64(st.Bfree))*st.Bsize + 256<<10
	}
	if err := syscall.Mount("tmpfs", v.disk, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", size)); err != nil {
		v.t.Fatal(err)
	}
}

// rows is a machine whose entries are each a large row.
type rows struct{}

func (rows) Apply(tx Tx, entry []byte) []byte {
	if err := tx.Set(append([]byte{tableRow}, entry[tx.Offset():][:2]...), entry); err != nil {
		panic(err)
	}
	return OK(nil)
}

func (rows) Restored() {}

const thinDirectory = "ROOKERY_THIN_DIRECTORY"

// TestThinVolumeProcess is the process whose disk fills: it applies entries and
// says what is on the disk, until it cannot go on.
func TestThinVolumeProcess(t *testing.T) {
	dir := os.Getenv(thinDirectory)
	if dir == "" {
		t.Skip("skipped: it is run by TestThinVolumeFills")
	}
	ended := func(err error) {
		fmt.Printf("ended %v: %v\n", rookery.KindOf(err), err)
		os.Exit(5)
	}
	// No table is written here: those wait for room.
	s, err := Open(dir, vfs.Default, Options{Logger: quiet(), MemTableBytes: 64 << 20, CacheBytes: 1 << 20, OnFailure: ended})
	if err != nil {
		ended(err)
	}
	g, err := s.Group(4, func(*Group) Machine { return rows{} })
	if err != nil {
		ended(err)
	}
	index, _ := g.Applied()
	fmt.Printf("opened %d %x\n", index, sha256.Sum256([]byte(dumpGroup(t, g))))
	if os.Getenv("ROOKERY_THIN_LOOK") != "" {
		os.Exit(0)
	}
	for i := uint64(index) + 1; ; i++ {
		g.Apply([]rookery.Entry{entry(i, i, bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 20_000)...)})
		if i%4 == 0 {
			if err := g.Sync(); err != nil {
				ended(err)
			}
			fmt.Printf("synced %d\n", i)
		}
	}
}

// process runs it; each is told what it says, until it has ended.
func (v thinVolume) process(each func(word string, index int), env ...string) (last string, code int) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestThinVolumeProcess$", "-test.v")
	cmd.Env = append(append(os.Environ(), thinDirectory+"="+filepath.Join(v.dir, "state")), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		v.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		index := 0
		if n, _ := fmt.Sscanf(rest, "%d", &index); n == 1 && (word == "opened" || word == "synced") {
			each(word, index)
		}
		if word == "opened" || word == "ended" {
			last = lines.Text()
		}
	}
	_ = cmd.Wait()
	return last, cmd.ProcessState.ExitCode()
}

// A volume that turns out to be full at the fsync: the process ends and says
// why, so does one that is started on it, and when there is room the next has
// all that was said to be on the disk.
func TestThinVolumeFills(t *testing.T) {
	v := newThinVolume(t)
	synced, full := 0, false
	note := func(word string, index int) {
		if word == "synced" {
			synced = index
		}
		if word == "synced" && index >= 40 && !full {
			full = true
			v.size(false)
		}
	}
	last, code := v.process(note)
	if strings.Contains(last, "input/output error") {
		t.Skipf("skipped: this kernel does not say that the disk under a file system is full: %.300s", last)
	}
	if !full || code != 5 || !strings.HasPrefix(last, "ended unavailable: ") || !strings.Contains(last, "no space left on device") {
		t.Fatalf("the volume was full (%v), the process ended with exit code %d: %.300s", full, code, last)
	}
	t.Logf("%d synced, then: %.200s", synced, last)
	if last, code = v.process(note); code != 5 || !strings.Contains(last, "no space left on device") {
		t.Fatalf("started on a full volume it ended with exit code %d: %.300s", code, last)
	}
	v.size(true)
	said := [2]string{}
	for i := range said {
		// The system may still tell of what did not fit before: a supervisor
		// starts a node again as well.
		for tries := 0; tries == 0 || code == 5 && tries < 50; tries++ {
			said[i], code = v.process(func(_ string, index int) {
				if index < synced {
					t.Errorf("%d were synced, %d are there", synced, index)
				}
			}, "ROOKERY_THIN_LOOK=1")
		}
		if code != 0 {
			t.Fatalf("with room it ended with exit code %d: %.300s", code, said[i])
		}
	}
	if said[0] != said[1] {
		t.Error("two starts show different states")
	}
}
