package node

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/cmd/node/directories"
	"rookery/cmd/node/monitor"
	"rookery/cmd/node/settings"
	"rookery/directory/embedded"
)

// A power cut at any change of the disk in a node's first start leaves a
// directory that a second start makes a node of.
func TestPowerCutInTheFirstStart(t *testing.T) {
	cuts, seed := number(t, "ROOKERY_CUTS", 40)/3, uint64(number(t, "ROOKERY_SEED", int(time.Now().UnixNano()&0x7fffffff)))
	t.Logf("%d cuts, ROOKERY_SEED=%d", cuts, seed)
	rng := rand.New(rand.NewPCG(seed, 5))
	dir := directoryServer(t)
	cfg, deps := testConfig(t), testDeps(t, dir)
	whole := newDisk(emptyDisk(t, cfg.DataDir), 0, nil)
	deps.FS = whole
	startAndStop(t, cfg, deps)
	changes := whole.changes.Load()
	for i := range cuts {
		at := 1 + changes*int64(i)/int64(cuts) + rng.Int64N(changes/int64(cuts)+1)
		cutFirstStart(t, cfg, deps, at, rng)
	}
	t.Logf("one start changes the disk %d times", changes)
}

func cutFirstStart(t *testing.T, cfg settings.Node, deps Deps, at int64, rng *rand.Rand) {
	t.Helper()
	cfg.DataDir = filepath.Join(t.TempDir(), "data")
	mem := emptyDisk(t, cfg.DataDir)
	percent := survivors(rng)
	var left *vfs.MemFS
	// The identity lies on the real disk: it is taken back by hand to what it
	// was when the power went.
	var identity []byte
	var d *disk
	cut := func() {
		identity, _ = os.ReadFile(filepath.Join(cfg.DataDir, identityFile))
		left = d.left(percent, rng)
	}
	d = newDisk(mem, at, cut)
	deps.FS = d
	startAndStop(t, cfg, deps)
	if d.changes.Load() < at {
		cut()
	}
	if err := os.WriteFile(filepath.Join(cfg.DataDir, identityFile), identity, 0o600); err != nil {
		t.Fatal(err)
	}
	deps.FS = left
	n, err := Open(t.Context(), cfg, deps)
	if err != nil {
		t.Fatalf("power cut before change %d of the first start (%d%% survived): %v", at, percent, err)
	}
	_, err = ensure(t.Context(), n, login(0))
	if err = errors.Join(err, closeTest(n)); err != nil {
		t.Fatalf("power cut before change %d of the first start (%d%% survived): %v", at, percent, err)
	}
}

func startAndStop(t *testing.T, cfg settings.Node, deps Deps) {
	t.Helper()
	n, err := Open(t.Context(), cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	if err := closeTest(n); err != nil {
		t.Fatal(err)
	}
}

// onDisk is a node on the real disk.
func onDisk(t *testing.T) (settings.Node, Deps, *embedded.Server) {
	t.Helper()
	dir := directoryServer(t)
	cfg, deps := testConfig(t), testDeps(t, dir)
	deps.Logger = nil
	return cfg, deps, dir
}

// A node that was closed leaves no goroutine behind, and no file open.
func TestClosedNodeLeavesNothingBehind(t *testing.T) {
	cfg, deps, _ := onDisk(t)
	startAndStop(t, cfg, deps) // what libraries start once and keep
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for range 5 {
		n, err := Open(t.Context(), cfg, deps)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", n.Addrs()["smtp"][0]) // an idle client
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := closeTest(n); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	leavesNothing(t, goroutines, files)
}

// leavesNothing waits until there are no more goroutines and files than there
// were: some end shortly after what they served.
func leavesNothing(t *testing.T, goroutines int, files map[string]string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for runtime.NumGoroutine() > goroutines || len(openFiles(t)) > len(files) {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines and these files were there:\n%v\nnow %d and these are:\n%v\n%s", goroutines, files,
				runtime.NumGoroutine(), openFiles(t), buf[:runtime.Stack(buf, true)])
		}
	}
}

// openFiles are the descriptors and what each is.
func openFiles(t *testing.T) map[string]string {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("open files cannot be counted here: ", err)
	}
	files := map[string]string{}
	for _, f := range list {
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil { // not the list itself
			files[f.Name()] = to
		}
	}
	return files
}

// The directory of a running node belongs to it alone.
func TestSecondNodeInOneDirectoryIsRefused(t *testing.T) {
	cfg, deps, _ := onDisk(t)
	n, err := Open(t.Context(), cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	other := cfg
	other.Admin = filepath.Join(t.TempDir(), "other.sock")
	second, err := Open(t.Context(), other, deps)
	if second != nil || !rookery.Is(err, rookery.KindConflict) || !strings.Contains(err.Error(), cfg.DataDir+" is in use by another process") {
		t.Errorf("got %v", err)
	}
	if _, err := ensure(t.Context(), n, login(0)); err != nil {
		t.Errorf("the first node suffers: %v", err)
	}
	if err := closeTest(n); err != nil {
		t.Fatal(err)
	}
	startAndStop(t, cfg, deps)
}

// A directory that lost one of the files which nothing can make again is
// refused, and opens when the file is back.
func TestLostFilesAreRefused(t *testing.T) {
	cfg, deps, _ := onDisk(t)
	startAndStop(t, cfg, deps)
	for _, name := range []string{"node.json", "keys/tenant.json", "keys/settings.key"} {
		path := filepath.Join(cfg.DataDir, name)
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		goroutines, files := runtime.NumGoroutine(), openFiles(t)
		n, err := Open(t.Context(), cfg, deps)
		if n != nil || !rookery.Is(err, rookery.KindDamaged) || !strings.Contains(err.Error(), path+" is missing") ||
			!strings.Contains(err.Error(), "bring") {
			t.Errorf("without %s: %v", name, err)
		}
		leavesNothing(t, goroutines, files)
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s was made anew", name)
		}
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(cfg.DataDir, "node.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), cfg, deps); !rookery.Is(err, rookery.KindDamaged) {
		t.Errorf("with half an identity: %v", err)
	}
}

// A node that has held groups refuses to start without its log or its state: a
// disk that is not mounted must not make it vote a second time.
func TestEmptyDiskOfAnOldNodeIsRefused(t *testing.T) {
	for _, name := range []string{"log", "state"} {
		cfg, deps, _ := onDisk(t)
		startAndStop(t, cfg, deps)
		if err := os.RemoveAll(filepath.Join(cfg.DataDir, name)); err != nil {
			t.Fatal(err)
		}
		n, err := Open(t.Context(), cfg, deps)
		if !rookery.Is(err, rookery.KindDamaged) || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
		if n != nil {
			closeTest(n)
		}
	}
}

// The power can go between the files of a first start too: the identity comes
// last, so that what there is without it is made use of.
func TestKeysWithoutIdentityAreANewNodes(t *testing.T) {
	cfg, deps, _ := onDisk(t)
	startAndStop(t, cfg, deps)
	keys, err := os.ReadFile(filepath.Join(cfg.DataDir, "keys", "tenant.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"node.json", "log", "state"} {
		if err := os.RemoveAll(filepath.Join(cfg.DataDir, name)); err != nil {
			t.Fatal(err)
		}
	}
	startAndStop(t, cfg, deps)
	if got, err := os.ReadFile(filepath.Join(cfg.DataDir, "keys", "tenant.json")); err != nil || string(got) != string(keys) {
		t.Errorf("the keys are other ones (%v)", err)
	}
}

// A taken port ends the start: nobody was served, nothing stays behind, and
// the directory is free again.
func TestTakenPortEndsTheStart(t *testing.T) {
	cfg, deps, _ := onDisk(t)
	startAndStop(t, cfg, deps)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	bad := cfg
	bad.Listen.POP3S = []string{taken.Addr().String()} // the last one to be opened
	n, err := Open(t.Context(), bad, deps)
	if n != nil || !rookery.Is(err, rookery.KindUnavailable) ||
		!strings.Contains(err.Error(), "pop3s on "+taken.Addr().String()) || !strings.Contains(err.Error(), "listen.pop3s") {
		t.Errorf("got %v", err)
	}
	leavesNothing(t, goroutines, files)
	startAndStop(t, cfg, deps)
}

// A request that has begun ends in the directory it began in, however often
// the settings change meanwhile.
func TestChangedSettingsLeaveRequestsAlone(t *testing.T) {
	p := directories.New(dialTCP(systemNetwork{}), testDeps(t, nil).Logger, monitor.NewMetrics().LookedUp)
	set := testSettings(directoryServer(t))
	if err := p.Use(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	done, failed := make(chan struct{}), make(chan error, 4)
	for range cap(failed) {
		go func() {
			for {
				select {
				case <-done:
					failed <- nil
					return
				default:
				}
				if _, err := p.Authenticate(t.Context(), login(1), "secret"); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	for range 20 {
		if err := p.Use(t.Context(), set); err != nil {
			t.Error(err)
		}
	}
	close(done)
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := p.Authenticate(t.Context(), login(1), "secret"); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("after its close: %v", err)
	}
}
