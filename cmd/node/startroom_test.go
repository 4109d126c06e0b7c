package node

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/monitor"
	"rookery/test/faultdisk"
)

// A node whose disk turns out to be full at an fsync, as by a quota, does not
// start under an epoch of its own; where it is told to it waits, says so to who
// asks for its health, and starts when there is room.
func TestStartWaitsForRoom(t *testing.T) {
	dir := directoryServer(t)
	cfg, deps := testConfig(t), testDeps(t, dir)
	disk := faultdisk.New()
	deps.FS, deps.tuning.room = disk, 10*time.Millisecond
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Listen.Health = []string{port.Addr().String()}
	port.Close()
	startAndStop(t, cfg, deps)
	before, err := datadir.Dir(cfg.DataDir).Identity()
	if err != nil {
		t.Fatal(err)
	}
	disk.Fail(1, syscall.EDQUOT)
	if n, err := Open(t.Context(), cfg, deps); n != nil || !rookery.Is(err, rookery.KindUnavailable) ||
		!strings.Contains(err.Error(), "make room") {
		t.Fatalf("on a full disk: %v", err)
	}
	deps.AwaitRoom = true
	type opened struct {
		n   *Node
		err error
	}
	done := make(chan opened, 1)
	go func() {
		n, err := Open(t.Context(), cfg, deps)
		done <- opened{n, err}
	}()
	said := ""
	for deadline := time.Now().Add(time.Minute); !strings.Contains(said, "waiting for room"); {
		select {
		case o := <-done:
			t.Fatalf("it did not wait: %v", o.err)
		case <-time.After(5 * time.Millisecond):
		}
		if r, err := http.Get("http://" + cfg.Listen.Health[0] + "/ready"); err == nil {
			var v monitor.Verdict
			_ = json.NewDecoder(r.Body).Decode(&v)
			r.Body.Close()
			said = v.Reason
		}
		if time.Now().After(deadline) {
			t.Fatalf("its health says %q", said)
		}
	}
	if id, err := datadir.Dir(cfg.DataDir).Identity(); err != nil || id.Epoch != before.Epoch {
		t.Errorf("it waits under epoch %d, the last start had %d (%v)", id.Epoch, before.Epoch, err)
	}
	disk.Fail(0, nil)
	o := <-done
	if o.err != nil {
		t.Fatal(o.err)
	}
	_, err = ensure(t.Context(), o.n, login(0))
	if closed := closeTest(o.n); err != nil || closed != nil {
		t.Error(err, closed)
	}
	if left, err := disk.List(cfg.DataDir + "/log"); err != nil || strings.Contains(strings.Join(left, " "), "room") {
		t.Errorf("what it tried is still there: %v %v", left, err)
	}
}
