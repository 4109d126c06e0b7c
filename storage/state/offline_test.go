package state

import (
	"io"
	"path"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"rookery"
)

// filesBelow are the files of a directory with what is in them.
func filesBelow(t *testing.T, fs vfs.FS, dir string, into map[string]string) map[string]string {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		name = path.Join(dir, name)
		info, err := fs.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			filesBelow(t, fs, name, into)
			continue
		}
		f, err := fs.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		into[name] = string(b)
	}
	return into
}

// What a node had applied is read from its directory, whether it was stopped or
// lost its power, and nothing in the directory changes.
func TestOpenOffline(t *testing.T) {
	for name, crash := range map[string]bool{"stopped": false, "power cut": true} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewCrashableMem()
			s, g, _ := openLedger(t, fs, 7)
			g.Apply([]rookery.Entry{{Index: 1, Term: 1, Configuration: []byte("voters")}, entry(2, 3, 0, 5, 9, 0, 6, 1)})
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
			want, disk := dumpGroup(t, g), vfs.FS(fs)
			if crash {
				disk = fs.CrashClone(vfs.CrashCloneCfg{})
			}
			closeStore(t, s)
			before := filesBelow(t, disk, "state", map[string]string{})
			off, err := OpenOffline("state", disk, Options{CacheBytes: 1 << 20, MemTableBytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			again, err := off.Group(7, func(*Group) Machine { return &ledger{} })
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, dumpGroup(t, again)); d != "" {
				t.Error("another state:", d)
			}
			if index, _ := again.Applied(); index != 2 {
				t.Errorf("applied %d", index)
			}
			closeStore(t, off)
			after := filesBelow(t, disk, "state", map[string]string{})
			for _, m := range []map[string]string{before, after} {
				for n := range m {
					if strings.HasSuffix(n, "LOCK") {
						delete(m, n)
					}
				}
			}
			if d := cmp.Diff(before, after); d != "" {
				t.Error("the directory has changed:", d)
			}
		})
	}
}

func TestOpenOfflineWhereThereIsNothing(t *testing.T) {
	if _, err := OpenOffline("none", vfs.NewMem(), Options{}); !rookery.Is(err, rookery.KindNotFound) {
		t.Error(err)
	}
}
