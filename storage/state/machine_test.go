package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// ledger is a small machine: every command is a list of operations, and a
// running digest row chains all commands, so that one applied twice, left
// out or out of order shows.
type ledger struct {
	restored int
	commits  int
}

const (
	tableDigest = 0x10
	tableRow    = 0x11
)

// A command is operations of three bytes: kind, key, value.
func (m *ledger) Apply(tx Tx, entry []byte) []byte {
	cmd := entry[tx.Offset():]
	if len(cmd)%3 != 0 {
		return Refuse(rookery.KindInvalid, "operations have three bytes")
	}
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	sum, err := tx.Get([]byte{tableDigest})
	must(err)
	sum = digest(sum, tx.Index(), tx.Time(), cmd)
	var answer []byte
	for ; len(cmd) > 0; cmd = cmd[3:] {
		switch cmd[0] % 5 {
		case 0, 1:
			must(tx.Set([]byte{tableRow, cmd[1]}, []byte{cmd[2]}))
		case 2:
			must(tx.Delete([]byte{tableRow, cmd[1]}))
		case 3:
			must(tx.DeleteRange([]byte{tableRow, cmd[1]}, []byte{tableRow, cmd[1] | 0x0f}))
		case 4:
			n := byte(0)
			must(tx.Scan([]byte{tableRow, cmd[1]}, []byte{tableRow + 1}, func(k, v []byte) (bool, error) {
				n += v[0]
				return n < 250, nil
			}))
			answer = append(answer, n)
		}
	}
	must(tx.Set([]byte{tableDigest}, sum))
	tx.OnCommit(func() { m.commits++ })
	return OK(append(answer, sum...))
}

func (m *ledger) Restored() { m.restored++ }

func digest(sum []byte, index rookery.LogIndex, time int64, cmd []byte) []byte {
	h := uint64(14695981039346656037)
	for _, part := range [][]byte{sum, binary.AppendUvarint(nil, uint64(index)), binary.AppendVarint(nil, time), cmd} {
		for _, c := range part {
			h = (h ^ uint64(c)) * 1099511628211
		}
		h = (h ^ 0x100) * 1099511628211
	}
	return binary.BigEndian.AppendUint64(nil, h)
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func openLedger(t testing.TB, fs vfs.FS, id rookery.GroupID) (*Store, *Group, *ledger) {
	t.Helper()
	s, err := Open("state", fs, Options{Logger: quiet(), MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	m := &ledger{}
	g, err := s.Group(id, func(*Group) Machine { return m })
	if err != nil {
		t.Fatal(err)
	}
	return s, g, m
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func entry(index, seq uint64, cmd ...byte) rookery.Entry {
	h := Header{Node: "n1", Epoch: 1, Seq: seq, Low: seq, Time: int64(1000 * seq)}
	return rookery.Entry{Index: rookery.LogIndex(index), Term: 1, Data: Wrap(h, cmd)}
}

// dump is everything a view shows of the machine's tables.
func dump(t testing.TB, r Reader) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Scan([]byte{FirstTable}, nil, func(k, v []byte) (bool, error) {
		fmt.Fprintf(&b, "%x=%x\n", k, v)
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func dumpGroup(t testing.TB, g *Group) string {
	t.Helper()
	s := g.Read()
	defer s.Close()
	return dump(t, s)
}
