package log

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"rookery"
)

// Groups store, truncate and release on a real disk while readers read.
func TestConcurrent(t *testing.T) {
	l := open(t, nil, func(o *Options) { o.Dir, o.DiskBudget, o.CacheBytes = t.TempDir(), 6*testSegment, 10_000 })
	var wg, readers sync.WaitGroup
	var done atomic.Bool
	for id := range rookery.GroupID(4) {
		g := group(t, l, id+1)
		wg.Go(func() {
			for i := uint64(1); i <= 150; i++ {
				if err := g.StoreLogs([]*raft.Log{entry(i, 1, 3000)}); err != nil {
					t.Error(err)
					return
				}
				if i%40 == 0 {
					_ = g.DeleteRange(i-3, i)
					i -= 4
					for range 4 {
						i++
						_ = g.StoreLog(entry(i, 1, 3000))
					}
					g.keepFrom(rookery.LogIndex(i - 20))
					_ = g.DeleteRange(1, i-10)
				}
			}
		})
		readers.Go(func() {
			for !done.Load() {
				first, _ := g.FirstIndex()
				last, _ := g.LastIndex()
				for i := first; i <= last && last > 0; i += 7 {
					var e raft.Log
					if g.GetLog(i, &e) == nil && !bytes.Equal(e.Data, entry(i, 1, 3000).Data) {
						t.Errorf("entry %d is wrong", i)
					}
					b := make([]byte, 50)
					if n, err := g.ReadAt(rookery.LogIndex(i), 1, b, 500); err == nil && !bytes.Equal(b[:n], entry(i, 1, 3000).Data[500:550]) {
						t.Errorf("bytes of entry %d are wrong", i)
					}
				}
				l.Stats()
			}
		})
	}
	wg.Wait()
	done.Store(true)
	readers.Wait()
	if s := l.Stats(); s.Freed == 0 {
		t.Logf("nothing was freed: %+v", s)
	}
}

type nothing struct{}

func (nothing) Apply(*raft.Log) any { return nil }
func (nothing) ApplyBatch(ls []*raft.Log) []any {
	return make([]any, len(ls))
}
func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nil, fmt.Errorf("no") }
func (nothing) Restore(r io.ReadCloser) error       { return r.Close() }

// BenchmarkRaft applies 4 KiB entries through one node's Raft in four groups,
// on a real disk, from concurrent clients.
func BenchmarkRaft(b *testing.B) {
	for _, clients := range []int{1, 10, 50} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			l, err := Open(Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			var rs []*raft.Raft
			for id := range rookery.GroupID(4) {
				g, _ := l.Group(id + 1)
				c := raft.DefaultConfig()
				c.LocalID, c.Logger, c.BatchApplyCh, c.MaxAppendEntries = "n", hclog.NewNullLogger(), true, 32
				c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = 100*time.Millisecond, 100*time.Millisecond, 80*time.Millisecond
				_, tr := raft.NewInmemTransport("n")
				r, err := raft.NewRaft(c, nothing{}, g, g, raft.NewDiscardSnapshotStore(), tr)
				if err != nil {
					b.Fatal(err)
				}
				r.BootstrapCluster(raft.Configuration{Servers: []raft.Server{{ID: "n", Address: "n"}}})
				for range r.LeaderCh() {
					break
				}
				rs = append(rs, r)
			}
			data := make([]byte, 4096)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var wg sync.WaitGroup
			for i := range clients {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if err := rs[i%4].Apply(data, 0).Error(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			s := l.Stats()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "applies/s")
			b.ReportMetric(float64(s.Flushes)/b.Elapsed().Seconds(), "flushes/s")
			for _, r := range rs {
				_ = r.Shutdown().Error()
			}
		})
	}
}
