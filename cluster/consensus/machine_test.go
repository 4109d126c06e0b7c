package consensus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"rookery"
)

// journal is a machine that remembers everything. A command is "id=value";
// one whose id it knows changes nothing and gives the first answer again.
type journal struct {
	mu       sync.Mutex
	now      journalState
	synced   journalState // what a crash leaves at least
	restores int
	skipped  int
	broken   string // a broken promise of the caller
	gate     chan struct{}
}

type journalState struct {
	Index  rookery.LogIndex
	Term   uint64
	Config []byte
	At     rookery.LogIndex
	Values []string
	Ids    map[string]int
}

func newJournal() *journal { return &journal{now: journalState{Ids: map[string]int{}}} }

func (s journalState) clone() journalState {
	s.Values = slices.Clone(s.Values)
	ids := map[string]int{}
	for k, v := range s.Ids {
		ids[k] = v
	}
	s.Ids = ids
	return s
}

func (m *journal) Apply(entries []rookery.Entry) [][]byte {
	if m.gate != nil {
		<-m.gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([][]byte, len(entries))
	for i, e := range entries {
		if e.Index <= m.now.Index {
			m.skipped++
			continue
		}
		if e.Term < m.now.Term {
			m.broken = fmt.Sprintf("term %d after %d", e.Term, m.now.Term)
		}
		m.now.Index, m.now.Term = e.Index, e.Term
		if e.Configuration != nil {
			m.now.Config, m.now.At = bytes.Clone(e.Configuration), e.Index
		}
		if len(e.Data) == 0 {
			continue
		}
		id, value, _ := strings.Cut(string(e.Data), "=")
		n, known := m.now.Ids[id]
		if !known {
			n = len(m.now.Values)
			m.now.Ids[id] = n
			m.now.Values = append(m.now.Values, value)
		}
		out[i] = fmt.Appendf(nil, "%d", n)
	}
	return out
}

func (m *journal) Applied() (rookery.LogIndex, uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now.Index, m.now.Term
}

func (m *journal) Configuration() ([]byte, rookery.LogIndex) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now.Config, m.now.At
}

func (m *journal) Sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.synced = m.now.clone()
	return nil
}

// crash gives the machine as a power cut leaves it.
func (m *journal) crash() *journal {
	m.mu.Lock()
	defer m.mu.Unlock()
	state := m.synced.clone()
	return &journal{now: state, synced: state.clone()}
}

func (m *journal) values() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.now.Values)
}

func (m *journal) Snapshot() (Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, err := json.Marshal(m.now)
	return &journalImage{state: m.now.clone(), data: data}, err
}

func (m *journal) Restore(r io.Reader) error {
	var s journalState
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.Index < m.now.Index {
		return errors.New("an older image was installed over a newer state")
	}
	m.now, m.synced = s, s.clone()
	m.restores++
	return nil
}

type journalImage struct {
	state journalState
	data  []byte
}

func (i *journalImage) Index() rookery.LogIndex                   { return i.state.Index }
func (i *journalImage) Term() uint64                              { return i.state.Term }
func (i *journalImage) Configuration() ([]byte, rookery.LogIndex) { return i.state.Config, i.state.At }
func (i *journalImage) Size() int64                               { return int64(len(i.data)) }
func (i *journalImage) Close() error                              { return nil }
func (i *journalImage) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(i.data)
	return int64(n), err
}
