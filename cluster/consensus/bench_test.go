package consensus

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"rookery"
	nodelog "rookery/cluster/log"
)

// counter is a machine that does nothing: what is measured is the road to it.
type counter struct {
	mu     sync.Mutex
	index  rookery.LogIndex
	term   uint64
	config []byte
	at     rookery.LogIndex
}

func (m *counter) Apply(entries []rookery.Entry) [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([][]byte, len(entries))
	for i, e := range entries {
		m.index, m.term = e.Index, e.Term
		if e.Configuration != nil {
			m.config, m.at = append([]byte(nil), e.Configuration...), e.Index
		}
		out[i] = []byte{0}
	}
	return out
}

func (m *counter) Applied() (rookery.LogIndex, uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.index, m.term
}

func (m *counter) Configuration() ([]byte, rookery.LogIndex) { return m.config, m.at }
func (m *counter) Sync() error                               { return nil }
func (m *counter) Snapshot() (Snapshot, error)               { return nil, ErrClosed }
func (m *counter) Restore(io.Reader) error                   { return ErrClosed }

func benchNode(b *testing.B, log LogStore) (*Node, *Group) {
	n, err := New(Options{Node: "n", Logger: quiet(),
		Log: func(rookery.GroupID) (LogStore, error) { return log, nil },
		Transport: func(rookery.GroupID) (Transport, error) {
			_, t := raft.NewInmemTransport("n")
			return t, nil
		}})
	if err != nil {
		b.Fatal(err)
	}
	g, err := n.Start(b.Context(), testGroup, &counter{}, []Server{{ID: "n", Address: "n"}})
	if err != nil {
		b.Fatal(err)
	}
	changes := g.LeaderChanges()
	for !g.IsLeader() {
		<-changes
	}
	if _, err := g.ReadIndex(b.Context()); err != nil {
		b.Fatal(err)
	}
	return n, g
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkApply commits 4 KiB entries on one node with the real log on a
// real disk. cpu-µs/op is the whole process.
func BenchmarkApply(b *testing.B) {
	for _, callers := range []int{1, 10, 50} {
		b.Run(fmt.Sprint("callers", callers), func(b *testing.B) {
			l, err := nodelog.Open(nodelog.Options{Dir: b.TempDir(), Logger: quiet()})
			if err != nil {
				b.Fatal(err)
			}
			log, err := l.Group(testGroup)
			if err != nil {
				b.Fatal(err)
			}
			n, g := benchNode(b, log)
			ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
			defer cancel()
			var left atomic.Int64
			left.Store(int64(b.N))
			data := make([]byte, 4096)
			before := cpu(b)
			b.ResetTimer()
			var work sync.WaitGroup
			for range callers {
				work.Go(func() {
					for left.Add(-1) >= 0 {
						if _, _, err := g.Apply(ctx, data); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			work.Wait()
			b.StopTimer()
			b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
			if err := n.Close(ctx); err != nil {
				b.Error(err)
			}
			if err := l.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}

// BenchmarkReadIndex is a read barrier on a node alone.
func BenchmarkReadIndex(b *testing.B) {
	n, g := benchNode(b, raft.NewInmemStore())
	for b.Loop() {
		if _, err := g.ReadIndex(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	if err := n.Close(context.Background()); err != nil {
		b.Error(err)
	}
}
