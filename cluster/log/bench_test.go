package log

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/raft"

	"rookery"
)

// BenchmarkStoreLogs stores 4 KiB entries on a real disk. Each group has one
// caller at a time, as Raft has; a leader with waiting clients stores several
// entries at once, which batch stands for.
func BenchmarkStoreLogs(b *testing.B) {
	for _, c := range []struct{ groups, batch int }{{1, 1}, {1, 32}, {4, 1}, {4, 3}, {4, 12}, {10, 1}, {50, 1}} {
		b.Run(fmt.Sprintf("groups=%d/batch=%d", c.groups, c.batch), func(b *testing.B) {
			l, err := Open(Options{Dir: b.TempDir(), DiskBudget: 1 << 30})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			data := make([]byte, 4096)
			for i := range data {
				data[i] = byte(i * 7)
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for id := range c.groups {
				g, err := l.Group(rookery.GroupID(id + 1))
				if err != nil {
					b.Fatal(err)
				}
				g.keepFrom(1 << 62)
				wg.Go(func() {
					entries := make([]*raft.Log, c.batch)
					for i := range entries {
						entries[i] = &raft.Log{Term: 1, Data: data}
					}
					for next := uint64(1); left.Add(-int64(c.batch)) > -int64(c.batch); {
						for _, e := range entries {
							e.Index = next
							next++
						}
						if err := g.StoreLogs(entries); err != nil {
							b.Error(err)
							return
						}
						if next%4096 < uint64(c.batch) && next > 8192 {
							_ = g.DeleteRange(1, next-4096)
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			s := l.Stats()
			b.SetBytes(4096)
			b.ReportMetric(float64(s.Entries)/b.Elapsed().Seconds(), "entries/s")
			b.ReportMetric(float64(s.Flushes)/b.Elapsed().Seconds(), "flushes/s")
		})
	}
}
