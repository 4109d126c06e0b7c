package consensus

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"rookery"
)

func ctxFor(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

var bothDisks = []func() disk{newMemoryDisk, newRealDisk}

// onBothDisks runs a test in a bubble with the library's store and with the
// real log.
func onBothDisks(t *testing.T, run func(*testing.T, func() disk)) {
	for i, name := range []string{"memory", "log"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { run(t, bothDisks[i]) })
		})
	}
}

func numbered(n int) (values []string) {
	for i := range n {
		values = append(values, fmt.Sprint("v", i))
	}
	return values
}

func TestOneNodeRestartKeepsEverythingOnce(t *testing.T) {
	for i := range 4 {
		lost := i%2 == 1
		synctest.Test(t, func(t *testing.T) {
			c := newClusterOn(t, 1, bothDisks[i/2], nil)
			n := c.nodes[0]
			for i := range 50 {
				c.apply(fmt.Sprintf("c%d=v%d", i, i))
				if i == 20 {
					if err := n.machine.Sync(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if lost {
				c.crash(n)
			} else {
				c.stop(n)
			}
			c.start(n, []Server{{ID: "n0", Address: "n0"}})
			index := c.apply("last=v50")
			if err := n.group.Wait(ctxFor(t, time.Second), index); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(numbered(51), n.machine.values()); diff != "" {
				t.Error(diff)
			}
			if n.machine.skipped != 0 {
				t.Errorf("%d entries were replayed that the state had", n.machine.skipped)
			}
			c.close()
		})
	}
}

func TestFailoverLosesNothing(t *testing.T) {
	onBothDisks(t, func(t *testing.T, disks func() disk) {
		c := newClusterOn(t, 3, disks, nil)
		for i := range 10 {
			c.apply(fmt.Sprintf("c%d=v%d", i, i))
		}
		old := c.leader()
		start := time.Now()
		c.net.setCut(old.name, true)
		c.leader(old)
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("a new leader took %v", took)
		}
		for i := 10; i < 20; i++ {
			c.apply(fmt.Sprintf("c%d=v%d", i, i), old)
		}
		if _, _, err := old.group.Apply(ctxFor(t, time.Second), []byte("x=lost")); err == nil {
			t.Error("the cut leader committed")
		}
		c.net.setCut(old.name, false)
		c.converge(c.apply("c20=v20"))
		for _, n := range c.nodes {
			if diff := cmp.Diff(numbered(21), n.machine.values()); diff != "" {
				t.Error(n.name, diff)
			}
		}
		c.close()
	})
}

func TestFollowerRestartCatchesUpFromTheLog(t *testing.T) {
	onBothDisks(t, func(t *testing.T, disks func() disk) {
		c := newClusterOn(t, 3, disks, nil)
		c.apply("c0=v0")
		lead := c.leader()
		follower := c.nodes[0]
		if follower == lead {
			follower = c.nodes[1]
		}
		c.crash(follower)
		for i := 1; i < 100; i++ {
			c.apply(fmt.Sprintf("c%d=v%d", i, i), follower)
		}
		c.start(follower, nil)
		c.converge(c.apply("c100=v100"))
		if diff := cmp.Diff(numbered(101), follower.machine.values()); diff != "" {
			t.Error(diff)
		}
		if follower.machine.restores != 0 {
			t.Error("it was sent an image although the log had everything")
		}
		c.close()
	})
}

func TestImageReachesNewAndBehindNodes(t *testing.T) {
	for i, dir := range []string{"", t.TempDir()} {
		synctest.Test(t, func(t *testing.T) {
			c := newClusterOn(t, 3, bothDisks[i], func(o *Options) {
				o.SnapshotEntries, o.SnapshotInterval, o.TrailingBytes, o.TempDir = 50, 100*time.Millisecond, 1, dir
			})
			padding := strings.Repeat("-", i*40<<10) // fills segments
			c.apply("c0=v0")
			lead := c.leader()
			behind := c.nodes[0]
			if behind == lead {
				behind = c.nodes[1]
			}
			c.crash(behind)
			for i := 1; i < 400; i++ {
				c.apply(fmt.Sprintf("c%d%s=v%d", i, padding, i), behind)
				time.Sleep(2 * time.Millisecond)
			}
			time.Sleep(10 * time.Second) // the real log gives up files in its own time
			first, err := c.leader(behind).log.FirstIndex()
			if err != nil || first < 100 {
				t.Fatalf("the log still begins at %d (%v)", first, err)
			}
			c.start(behind, nil)
			fresh := c.add("n3", nil)
			if err := c.leader().group.Add(ctxFor(t, time.Minute), Server{ID: "n3", Address: "n3", Learner: true}); err != nil {
				t.Fatal(err)
			}
			c.converge(c.apply("c400=v400"))
			if err := c.leader().group.Add(ctxFor(t, time.Minute), Server{ID: "n3", Address: "n3"}); err != nil {
				t.Fatal(err)
			}
			index := c.apply("c401=v401")
			c.converge(index)
			for _, n := range []*testNode{behind, fresh} {
				if diff := cmp.Diff(numbered(402), n.machine.values()); diff != "" {
					t.Error(n.name, diff)
				}
				if n.machine.restores == 0 {
					t.Error(n.name, "was sent no image")
				}
			}
			// A node whose state came as an image restarts from it.
			c.stop(fresh)
			c.start(fresh, nil)
			c.converge(c.apply("c402=v402"))
			if diff := cmp.Diff(numbered(403), fresh.machine.values()); diff != "" {
				t.Error(diff)
			}
			if err := c.leader().group.Remove(ctxFor(t, time.Minute), "n3"); err != nil {
				t.Error(err)
			}
			c.close()
		})
	}
}

func TestDoubtfulApplyLandsOnceUnderTheSameID(t *testing.T) {
	onBothDisks(t, func(t *testing.T, disks func() disk) {
		c := newClusterOn(t, 3, disks, nil)
		c.apply("c0=v0")
		for i := 1; i <= 10; i++ {
			command := fmt.Sprintf("c%d=v%d", i, i)
			lead := c.leader()
			done := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				defer cancel()
				_, _, err := lead.group.Apply(ctx, []byte(command))
				done <- err
			}()
			if i%2 == 0 {
				time.Sleep(time.Duration(i) * time.Microsecond)
				synctest.Wait() // the entry may have reached everyone, the answer not
			}
			c.net.setCut(lead.name, true)
			c.apply(command, lead)
			c.net.setCut(lead.name, false)
			if err := <-done; err != nil && !rookery.Is(err, rookery.KindUnknown) && !rookery.Is(err, rookery.KindUnavailable) {
				t.Errorf("the cut apply gave %v", err)
			}
		}
		c.converge(c.apply("c11=v11"))
		for _, n := range c.nodes {
			if diff := cmp.Diff(numbered(12), n.machine.values()); diff != "" {
				t.Error(n.name, diff)
			}
		}
		c.close()
	})
}

func TestApplySaysWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, func(o *Options) {
			o.EntryTime = func(data []byte) (int64, bool) {
				if string(data) == "future" {
					return o.Clock().Add(MaxAhead + time.Millisecond).UnixNano(), true
				}
				return 0, false
			}
			o.Clock = time.Now
		})
		lead := c.leader()
		ctx := ctxFor(t, 10*time.Second)
		for _, n := range c.nodes {
			if n != lead {
				if _, _, err := n.group.Apply(ctx, []byte("a=b")); !rookery.Is(err, rookery.KindUnavailable) {
					t.Errorf("apply on a follower: %v", err)
				}
				if _, err := n.group.ReadIndex(ctx); !rookery.Is(err, rookery.KindUnavailable) {
					t.Errorf("read index on a follower: %v", err)
				}
			}
		}
		if _, _, err := lead.group.Apply(ctx, make([]byte, MaxEntry+1)); !rookery.Is(err, rookery.KindTooLarge) {
			t.Errorf("a large entry: %v", err)
		}
		if _, _, err := lead.group.Apply(ctx, nil); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("an empty entry: %v", err)
		}
		if _, _, err := lead.group.Apply(ctx, []byte("future")); !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("an entry from the future: %v", err)
		}
		// Cut off with the entry in its log: nobody can know.
		c.net.setCut(lead.name, true)
		if _, _, err := lead.group.Apply(ctx, []byte("x=y")); err == nil || rookery.KindOf(err) != rookery.KindUnknown {
			t.Errorf("lost leadership: %v", err)
		}
		if _, _, err := lead.group.Apply(ctx, []byte("x=y")); !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("no quorum: %v", err)
		}
		c.net.setCut(lead.name, false)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := c.leader().group.Wait(short, 1<<40); !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("waiting for what never comes: %v", err)
		}
		c.close()
	})
}
