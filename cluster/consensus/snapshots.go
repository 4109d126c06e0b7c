package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"

	"github.com/hashicorp/raft"

	"rookery"
)

// liveID names the one snapshot there is: the machine's state as it stands.
const liveID = "live"

// snapshots is a store that holds no snapshots. List reports the state's own
// applied index, so a start replays exactly what the state lacks; Open makes
// an image on the spot; what a leader sends is spooled until it is installed
// and gone after a crash, which leaves the older state and the log for it.
type snapshots struct {
	machine Machine
	tempDir string

	// opened is the index of the image last opened for Restore. Open and
	// Restore are called by the same goroutine.
	opened rookery.LogIndex

	mu       sync.Mutex
	next     uint64
	incoming map[string]*mark
}

var _ raft.SnapshotStore = (*snapshots)(nil)

func newSnapshots(m Machine, tempDir string) *snapshots {
	return &snapshots{machine: m, tempDir: tempDir, incoming: map[string]*mark{}}
}

// List implements raft.SnapshotStore.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	index, term := s.machine.Applied()
	if index == 0 {
		return nil, nil
	}
	data, at := s.machine.Configuration()
	meta, err := liveMeta(index, term, data, at)
	if err != nil {
		return nil, err
	}
	return []*raft.SnapshotMeta{meta}, nil
}

func liveMeta(index rookery.LogIndex, term uint64, configuration []byte, at rookery.LogIndex) (meta *raft.SnapshotMeta, err error) {
	defer func() { // the library panics on configurations that do not decode
		if r := recover(); r != nil {
			err = rookery.E("read configuration of the group", rookery.KindDamaged, fmt.Errorf("%v", r))
		}
	}()
	if at == 0 {
		return nil, rookery.E("read configuration of the group", rookery.KindDamaged,
			fmt.Errorf("the state is at index %d and has none", index))
	}
	return &raft.SnapshotMeta{Version: 1, ID: liveID, Index: uint64(index), Term: term,
		Configuration: raft.DecodeConfiguration(configuration), ConfigurationIndex: uint64(at)}, nil
}

// Create implements raft.SnapshotStore, both for the group's own snapshots,
// which write nothing, and for images that arrive.
func (s *snapshots) Create(_ raft.SnapshotVersion, index, term uint64, c raft.Configuration, at uint64,
	_ raft.Transport) (raft.SnapshotSink, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	id := "incoming-" + strconv.FormatUint(s.next, 10)
	m := &mark{store: s, id: id, index: rookery.LogIndex(index), term: term,
		meta: raft.SnapshotMeta{Version: 1, ID: id, Index: index, Term: term, Configuration: c, ConfigurationIndex: at}}
	return m, nil
}

// Open implements raft.SnapshotStore.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if id == liveID {
		return s.openLive()
	}
	s.mu.Lock()
	m := s.incoming[id]
	delete(s.incoming, id)
	s.mu.Unlock()
	if m == nil {
		return nil, nil, rookery.E("open image", rookery.KindNotFound, fmt.Errorf("no image %q has arrived", id))
	}
	s.opened = m.index
	r, err := m.read()
	if err != nil {
		return nil, nil, err
	}
	return &m.meta, r, nil
}

// openLive streams the state as it is now; the index is the image's own.
func (s *snapshots) openLive() (*raft.SnapshotMeta, io.ReadCloser, error) {
	image, err := s.machine.Snapshot()
	if err != nil {
		return nil, nil, err
	}
	data, at := image.Configuration()
	meta, err := liveMeta(image.Index(), image.Term(), data, at)
	if err != nil {
		return nil, nil, errors.Join(err, image.Close())
	}
	meta.Size = image.Size()
	r, w := io.Pipe()
	live := &liveReader{PipeReader: r, done: make(chan struct{})}
	go func() {
		defer close(live.done)
		_, err := image.WriteTo(w)
		w.CloseWithError(errors.Join(err, image.Close()))
	}()
	return meta, live, nil
}

// liveReader reads an image while it is made. Close waits for the maker.
type liveReader struct {
	*io.PipeReader
	done chan struct{}
}

func (r *liveReader) Close() error {
	err := r.PipeReader.Close()
	<-r.done
	return err
}

// mark is one snapshot of the group's own, or one image arriving.
type mark struct {
	store *snapshots
	id    string
	index rookery.LogIndex
	term  uint64
	meta  raft.SnapshotMeta

	file   *os.File
	memory bytes.Buffer
}

// ID implements raft.SnapshotSink.
func (m *mark) ID() string { return m.id }

// Write implements raft.SnapshotSink: a part of an image from the leader.
func (m *mark) Write(p []byte) (n int, err error) {
	if m.store.tempDir == "" {
		n, err = m.memory.Write(p)
	} else {
		if m.file == nil {
			if err := m.create(); err != nil {
				return 0, err
			}
		}
		n, err = m.file.Write(p)
	}
	m.meta.Size += int64(n)
	return n, err
}

// create makes the spool file and unlinks it at once: no crash leaves one.
func (m *mark) create() error {
	f, err := os.CreateTemp(m.store.tempDir, "image-*")
	if err == nil {
		m.file = f
		err = os.Remove(f.Name())
	}
	if err != nil {
		return rookery.E("spool image", rookery.KindUnavailable, err)
	}
	return nil
}

// Close implements raft.SnapshotSink.
func (m *mark) Close() error {
	if m.meta.Size == 0 {
		return nil // the group's own: nothing to keep
	}
	m.store.mu.Lock()
	defer m.store.mu.Unlock()
	m.store.incoming[m.id] = m
	return nil
}

// Cancel implements raft.SnapshotSink.
func (m *mark) Cancel() error {
	if m.file != nil {
		return m.file.Close()
	}
	return nil
}

func (m *mark) read() (io.ReadCloser, error) {
	if m.file == nil {
		return io.NopCloser(&m.memory), nil
	}
	if _, err := m.file.Seek(0, io.SeekStart); err != nil {
		return nil, rookery.E("read spooled image", rookery.KindUnavailable, errors.Join(err, m.file.Close()))
	}
	return m.file, nil
}
