package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

const (
	stableMagic = 0x524b5953
	stableHead  = 28
	stableSlot  = pageSize
)

// errNotFound has the text Raft compares with.
var errNotFound = errors.New("not found")

// stable is a group's term and vote: a pre-written file with two slots, one
// page each, written in turn, each whole and with its own sum. The one with
// the higher sequence counts.
type stable struct {
	l     *Log
	group rookery.GroupID

	mu   sync.Mutex
	file vfs.File
	seq  uint64
	kv   map[string][]byte
}

func stableName(g rookery.GroupID) string { return fmt.Sprintf("stable-%08d", g) }

// open reads the file, or makes it. With must it has to be there: a group
// that has entries but no vote would vote twice.
func (st *stable) open(must bool) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.file != nil {
		return nil
	}
	fs := st.l.opts.FS
	name := fs.PathJoin(st.l.opts.Dir, stableName(st.group))
	if _, err := fs.Stat(name); err != nil {
		if must {
			return rookery.E("open term and vote", rookery.KindDamaged,
				fmt.Errorf("group %d has entries but %s cannot be read: replace this node in the group: %w", st.group, name, err))
		}
		if err := st.create(name); err != nil {
			return rookery.E("open term and vote", rookery.KindUnavailable, err)
		}
	}
	f, err := fs.OpenReadWrite(name, "rookery-log")
	if err != nil {
		return rookery.E("open term and vote", rookery.KindUnavailable, err)
	}
	if err := st.load(f); err != nil {
		_ = f.Close()
		return err
	}
	st.file = f
	// What was read may be in the page cache only: make it durable before
	// anyone trusts it.
	if err := st.save(st.kv); err != nil {
		st.file = nil
		_ = f.Close()
		return err
	}
	return nil
}

func (st *stable) create(name string) error {
	fs := st.l.opts.FS
	f, err := fs.Create(name+".new", "rookery-log")
	if err != nil {
		return err
	}
	b := make([]byte, 2*stableSlot)
	st.encode(b[:stableSlot], 0, nil)
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fs.Rename(name+".new", name)
	}
	if err != nil {
		return err
	}
	if err := st.l.syncDir(); err != nil {
		// The name is there, for how long nobody knows: a second attempt must
		// not find the file and trust it.
		return st.l.fail(rookery.E("write term and vote", rookery.KindUnavailable, err))
	}
	return nil
}

func (st *stable) encode(b []byte, seq uint64, kv map[string][]byte) bool {
	clear(b)
	p := b[:stableHead]
	for _, k := range slices.Sorted(maps.Keys(kv)) {
		p = binary.AppendUvarint(p, uint64(len(k)))
		p = append(p, k...)
		p = binary.AppendUvarint(p, uint64(len(kv[k])))
		p = append(p, kv[k]...)
		if len(p) > stableSlot {
			return false
		}
	}
	binary.LittleEndian.PutUint32(b, stableMagic)
	binary.LittleEndian.PutUint32(b[4:], formatVersion)
	binary.LittleEndian.PutUint32(b[8:], uint32(st.group))
	binary.LittleEndian.PutUint64(b[12:], seq)
	binary.LittleEndian.PutUint32(b[20:], uint32(len(p)-stableHead))
	binary.LittleEndian.PutUint32(b[24:], 0)
	binary.LittleEndian.PutUint32(b[24:], crc32.Checksum(b, castagnoli))
	return true
}

func (st *stable) decode(b []byte) (seq uint64, kv map[string][]byte, ok bool) {
	sum := binary.LittleEndian.Uint32(b[24:])
	binary.LittleEndian.PutUint32(b[24:], 0)
	if binary.LittleEndian.Uint32(b) != stableMagic || binary.LittleEndian.Uint32(b[4:]) != formatVersion ||
		binary.LittleEndian.Uint32(b[8:]) != uint32(st.group) || crc32.Checksum(b, castagnoli) != sum {
		return 0, nil, false
	}
	n := binary.LittleEndian.Uint32(b[20:])
	if n > stableSlot-stableHead {
		return 0, nil, false
	}
	c := &cursor{b: b[stableHead : stableHead+n]}
	kv = map[string][]byte{}
	for len(c.b) > 0 && !c.bad {
		k := string(c.bytes())
		kv[k] = slices.Clone(c.bytes())
	}
	return binary.LittleEndian.Uint64(b[12:]), kv, !c.bad
}

func (st *stable) load(f vfs.File) error {
	b := make([]byte, 2*stableSlot)
	if err := readFull(f, b, 0); err != nil {
		return rookery.E("open term and vote", rookery.KindDamaged, fmt.Errorf("group %d: %s: %w", st.group, stableName(st.group), err))
	}
	found := false
	for i := range 2 {
		if seq, kv, ok := st.decode(b[i*stableSlot : (i+1)*stableSlot]); ok && (!found || seq > st.seq) {
			st.seq, st.kv, found = seq, kv, true
		}
	}
	if !found {
		return rookery.E("open term and vote", rookery.KindDamaged,
			fmt.Errorf("group %d: both copies in %s fail their checksum: replace this node in the group", st.group, stableName(st.group)))
	}
	return nil
}

// save writes the next slot and waits for the disk. The caller holds the lock.
func (st *stable) save(kv map[string][]byte) error {
	if st.file == nil {
		return errClosed("write term and vote")
	}
	if err := st.l.broken(); err != nil {
		return err
	}
	b := make([]byte, stableSlot)
	if !st.encode(b, st.seq+1, kv) {
		return rookery.E("write term and vote", rookery.KindTooLarge,
			fmt.Errorf("group %d: keys and values exceed %d bytes", st.group, stableSlot-stableHead))
	}
	t := time.AfterFunc(stallAfter, st.l.stalled)
	defer t.Stop()
	_, err := st.file.WriteAt(b, int64((st.seq+1)%2)*stableSlot)
	if err == nil {
		err = st.file.SyncData()
	}
	if err != nil {
		return st.l.fail(rookery.E("write term and vote", rookery.KindUnavailable, fmt.Errorf("%s: %w", stableName(st.group), err)))
	}
	if err := st.l.broken(); err != nil {
		return err
	}
	st.seq, st.kv = st.seq+1, kv
	return nil
}

func (st *stable) close() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.file == nil {
		return nil
	}
	f := st.file
	st.file = nil
	return f.Close()
}

// Set stores a value durably. All keys and values of a group together are at
// most about 4 KB.
func (g *Group) Set(key, value []byte) error {
	st := g.stable
	st.mu.Lock()
	defer st.mu.Unlock()
	kv := maps.Clone(st.kv)
	if kv == nil {
		kv = map[string][]byte{}
	}
	kv[string(key)] = slices.Clone(value)
	return st.save(kv)
}

// Get reads a value. The error for a key never set has the text "not found".
func (g *Group) Get(key []byte) ([]byte, error) {
	g.stable.mu.Lock()
	defer g.stable.mu.Unlock()
	v, ok := g.stable.kv[string(key)]
	if !ok {
		return nil, errNotFound
	}
	return slices.Clone(v), nil
}

// SetUint64 stores a number durably.
func (g *Group) SetUint64(key []byte, value uint64) error {
	return g.Set(key, binary.BigEndian.AppendUint64(nil, value))
}

// GetUint64 reads a number, 0 if the key was never set.
func (g *Group) GetUint64(key []byte) (uint64, error) {
	v, err := g.Get(key)
	if err != nil {
		return 0, nil // the only error is errNotFound
	}
	if len(v) != 8 {
		return 0, rookery.E("read term", rookery.KindInvalid, fmt.Errorf("group %d: %q is not a number", g.id, key))
	}
	return binary.BigEndian.Uint64(v), nil
}
