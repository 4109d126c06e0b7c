package node

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cluster/transport/identity"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/peers"
)

// older is a machine's data directory as it was at a moment.
type older struct {
	files map[string][]byte
	mem   *vfs.MemFS
}

// copyOf copies a machine's data directory, also while it runs.
func (c *sim) copyOf(x *simNode) older {
	c.t.Helper()
	o := older{map[string][]byte{}, x.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: c.rng})}
	for _, name := range []string{identityFile, lineageFile} {
		b, err := os.ReadFile(filepath.Join(x.cfg.DataDir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.t.Fatal(err)
		}
		o.files[name] = b
	}
	return o
}

// goBack puts a copy in the place of a machine's data directory.
func (c *sim) goBack(x *simNode, o older) {
	c.t.Helper()
	x.mem = o.mem
	for name, b := range o.files {
		path := filepath.Join(x.cfg.DataDir, name)
		err := os.Remove(path)
		if b != nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.t.Fatal(err)
		}
	}
}

// mustNotStart tries to start a machine, which must end before Raft does.
func (c *sim) mustNotStart(x *simNode, what string) {
	c.t.Helper()
	x.deps.FS = newDisk(x.mem, 0, nil)
	n, err := Open(context.Background(), x.cfg, x.deps)
	if err == nil {
		closeTest(n)
		c.t.Fatalf("%s starts", what)
	}
	if !rookery.Is(err, rookery.KindDamaged) {
		c.t.Fatalf("%s: %v", what, err)
	}
}

// An older copy of a data directory has forgotten votes and acknowledged mail:
// it must not start, neither beside the others nor, once found out, alone.
func TestSimOlderCopyDoesNotStart(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		first, x := c.nodes[0], c.nodes[2]
		c.off(x)
		stopped := c.copyOf(x)
		c.on(x)
		c.sendFor(2 * time.Second)
		time.Sleep(advanceEvery / 2)
		running := c.copyOf(x)
		time.Sleep(2 * advanceEvery)
		c.off(x)
		newest := c.copyOf(x)

		c.goBack(x, stopped)
		c.mustNotStart(x, "a copy from before the last start")
		named := func() bool { return c.nodes[1].problemWith("node "+x.cfg.Name+" was started from an older copy") != "" }
		c.until(time.Minute, "the status of the others says so", named)
		c.part(first, true)
		c.part(c.nodes[1], true)
		c.mustNotStart(x, "the copy that was found out, alone")
		c.part(first, false)
		c.part(c.nodes[1], false)

		if err := os.Remove(filepath.Join(x.cfg.DataDir, supersededFile)); err != nil {
			c.t.Fatal(err)
		}
		c.goBack(x, running)
		c.mustNotStart(x, "a copy of the running node")

		if err := os.Remove(filepath.Join(x.cfg.DataDir, supersededFile)); err != nil {
			c.t.Fatal(err)
		}
		c.goBack(x, newest)
		c.on(x)
		c.catchesUp(x)
		c.until(time.Minute, "the status says it no more", func() bool { return !named() })
		c.sendFor(2 * time.Second)
		c.mustCheck()
	})
}

// Of a node and a copy of it that runs elsewhere one ends by itself.
func TestSimOfTwoCopiesOneEnds(t *testing.T) {
	bubble(t, nil, func(c *sim) {
		first, x := c.nodes[0], c.nodes[2]
		var at datadir.Moment
		c.until(time.Minute, "the node has told how far it is", func() bool {
			var err error
			at, err = x.dir.Moment()
			return err == nil && at.Epoch == x.id.Epoch
		})
		// The copy began from what the node has on disk now.
		ident, err := identity.LoadIdentity(filepath.Join(x.cfg.DataDir, certificateDir))
		if err != nil {
			c.t.Fatal(err)
		}
		copied, err := transport.New(transport.Options{Credentials: identity.NewCredentials(ident), Member: first.peers.Key,
			Addresses: first.peers.Where, Dial: dialTCP(x.deps.Network)})
		if err != nil {
			c.t.Fatal(err)
		}
		defer copied.Close(context.Background())
		b, err := cbor.Marshal(peers.Sign{Run: "copy", Was: at, Now: datadir.Moment{Epoch: at.Epoch + 1}})
		if err != nil {
			c.t.Fatal(err)
		}
		if _, err := copied.Call(c.t.Context(), first.id.Node, peers.Lineage.Name(), b); err != nil {
			c.t.Fatal(err)
		}
		select {
		case <-x.Ended():
		case <-time.After(2 * advanceEvery):
			c.t.Fatal("both run on")
		}
		if err := x.Err(); !rookery.Is(err, rookery.KindDamaged) {
			c.t.Errorf("it ended with %v", err)
		}
	})
}
