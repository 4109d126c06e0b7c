package state

import (
	"bytes"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// filled is a file system whose disk takes no more bytes than it is allowed.
type filled struct {
	vfs.FS
	room atomic.Int64
}

func (f *filled) take(n int) (int, error) {
	for {
		left := f.room.Load()
		taken := min(left, int64(n))
		if !f.room.CompareAndSwap(left, left-taken) {
			continue // also room that was made meanwhile
		}
		if taken < int64(n) {
			return int(taken), &os.PathError{Op: "write", Path: "disk", Err: syscall.ENOSPC}
		}
		return n, nil
	}
}

func (f *filled) file(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &filledFile{file, f}, nil
}

func (f *filled) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if _, err := f.take(1); err != nil {
		return nil, err
	}
	return f.file(f.FS.Create(name, c))
}

func (f *filled) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if _, err := f.take(1); err != nil {
		return nil, err
	}
	return f.file(f.FS.ReuseForWrite(from, to, c))
}

type filledFile struct {
	vfs.File
	fs *filled
}

func (f *filledFile) Write(b []byte) (int, error) {
	n, full := f.fs.take(len(b))
	n, err := f.File.Write(b[:n])
	if err == nil {
		err = full
	}
	return n, err
}

// A disk that fills to the last byte under load, again and again, at any byte:
// changes wait, reads do not, and when there is room everything goes on; what
// is on the disk then is what was applied.
func TestFullDiskWaits(t *testing.T) {
	mem := vfs.NewCrashableMem()
	disk := &filled{FS: mem}
	disk.room.Store(1 << 40)
	s, err := Open("state", disk, Options{Logger: quiet(), MemTableBytes: 64 << 10, CacheBytes: 1 << 20,
		OnFailure: func(err error) { t.Error(err); panic(err) }})
	if err != nil {
		t.Fatal(err)
	}
	g, err := s.Group(7, func(*Group) Machine { return &ledger{} })
	if err != nil {
		t.Fatal(err)
	}
	index, waited := uint64(0), 0
	for round := range 12 {
		disk.room.Store(int64(50_000 + 7_777*round))
		done := make(chan error, 1)
		go func() {
			for range 1500 {
				index++
				cmd := bytes.Repeat([]byte{0, byte(index), byte(index >> 8)}, 40)
				g.Apply([]rookery.Entry{entry(index, index, cmd...)})
			}
			done <- g.Sync()
		}()
		for over := false; !over; {
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				over = true
			case <-time.After(time.Millisecond):
				if !s.Full() {
					continue
				}
				waited++
				if dumpGroup(t, g) == "" {
					t.Error("nothing can be read while the disk is full")
				}
				disk.room.Store(1 << 40)
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				over = true
			}
		}
	}
	if waited < 10 {
		t.Errorf("the disk was full %d times: the test proves little", waited)
	}
	want := dumpGroup(t, g)
	left := mem.CrashClone(vfs.CrashCloneCfg{})
	disk.room.Store(1 << 40)
	closeStore(t, s)
	again, g, _ := openLedger(t, left, 7)
	defer closeStore(t, again)
	if applied, _ := g.Applied(); uint64(applied) != index || dumpGroup(t, g) != want {
		t.Errorf("after a power cut the state is at %d, it was at %d", applied, index)
	}
}

// A start on a full disk fails at once: who started it knows.
func TestStartOnAFullDiskFails(t *testing.T) {
	disk := &filled{FS: vfs.NewMem()}
	if _, err := Open("state", disk, Options{Logger: quiet()}); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("%v", err)
	}
}

// Nor does one wait that has tables to write, which the database would try for
// ever.
func TestStartOnAFullDiskWithTablesToWriteEnds(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s, g, _ := openLedger(t, mem, 7)
	g.Apply([]rookery.Entry{entry(1, 1, 0, 1, 1)})
	if err := g.Sync(); err != nil {
		t.Fatal(err)
	}
	left := mem.CrashClone(vfs.CrashCloneCfg{})
	closeStore(t, s)
	for room := int64(0); ; room += 500 {
		disk := &filled{FS: left.CrashClone(vfs.CrashCloneCfg{})}
		disk.room.Store(room)
		ended, opened := make(chan error, 9), make(chan error, 1)
		go func() {
			s, err := Open("state", disk, Options{Logger: quiet(), MemTableBytes: 256 << 10, CacheBytes: 1 << 20, OnFailure: func(err error) {
				ended <- err
				select {}
			}})
			if err == nil {
				disk.room.Store(1 << 40)
				err = s.Close()
			}
			opened <- err
		}()
		var err error
		select {
		case err = <-ended:
		case err = <-opened:
		case <-time.After(time.Minute):
			t.Fatalf("with room for %d bytes it neither starts nor ends", room)
		}
		if err == nil {
			break
		}
		if !isFull(err) {
			t.Errorf("with room for %d bytes: %v", room, err)
		}
	}
}
