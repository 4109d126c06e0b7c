package consensus

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"rookery"
)

// wire records what is really sent, and answers as a follower that agrees.
type wire struct {
	Transport
	mu   sync.Mutex
	sent []raft.AppendEntriesRequest
	at   []time.Time
	fail error
}

func (w *wire) AppendEntries(id raft.ServerID, to raft.ServerAddress, q *raft.AppendEntriesRequest, s *raft.AppendEntriesResponse) error {
	w.mu.Lock()
	w.sent, w.at = append(w.sent, *q), append(w.at, time.Now())
	fail := w.fail
	w.mu.Unlock()
	if fail != nil {
		return fail
	}
	if w.Transport != nil {
		return w.Transport.AppendEntries(id, to, q, s)
	}
	*s = raft.AppendEntriesResponse{Term: q.Term, LastLog: q.PrevLogEntry + uint64(len(q.Entries)), Success: true}
	return nil
}

func (w *wire) take() []raft.AppendEntriesRequest {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.sent = nil }()
	return w.sent
}

func entries(term, from, to uint64) *raft.AppendEntriesRequest {
	q := &raft.AppendEntriesRequest{Term: term, PrevLogEntry: from - 1, PrevLogTerm: term}
	for i := from; i <= to; i++ {
		q.Entries = append(q.Entries, &raft.Log{Index: i, Term: term})
	}
	return q
}

func TestContactsSaveWhatIsNoNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		c := newContacts(w, 500*time.Millisecond)
		sends := func(what string, want bool, q *raft.AppendEntriesRequest) {
			t.Helper()
			var resp raft.AppendEntriesResponse
			err := c.AppendEntries("f", "f", q, &resp)
			if got := len(w.take()) > 0; got != want {
				t.Errorf("%s: sent is %v", what, got)
			}
			if err == nil && (!resp.Success || resp.Term != q.Term) {
				t.Errorf("%s: answered %+v", what, resp)
			}
			time.Sleep(time.Millisecond)
		}
		beat := func(term uint64) *raft.AppendEntriesRequest { return &raft.AppendEntriesRequest{Term: term} }
		repeat := func(term, last, commit uint64) *raft.AppendEntriesRequest {
			return &raft.AppendEntriesRequest{Term: term, PrevLogEntry: last, PrevLogTerm: term, LeaderCommitIndex: commit}
		}
		sends("the first heartbeat", true, beat(1))
		sends("a heartbeat soon after", false, beat(1))
		sends("entries", true, entries(1, 1, 3))
		sends("a new commit index", true, repeat(1, 3, 3))
		sends("the same commit index", false, repeat(1, 3, 3))
		sends("a heartbeat", false, beat(1))
		sends("the same entries", true, entries(1, 1, 3))
		time.Sleep(100 * time.Millisecond)
		sends("the same commit index, later", true, repeat(1, 3, 3))
		sends("a heartbeat in a new term", true, beat(2))
		sends("the same commit index in a new term", true, repeat(2, 3, 3))
		w.fail = errors.New("lost")
		sends("entries that are lost", true, entries(2, 4, 4))
		w.fail = nil
		sends("a heartbeat after a failure", true, beat(2))
		sends("the same commit index after a failure", true, repeat(2, 3, 3))
		for range 20 { // heartbeats keep the contact fresh
			time.Sleep(60 * time.Millisecond)
			c.AppendEntries("f", "f", beat(2), &raft.AppendEntriesResponse{})
		}
		w.take()
		sends("the same commit index a second later", true, repeat(2, 3, 3))
	})
}

// inPlace answers as the library's network transport does: into the memory of
// the answer before, where there is some.
type inPlace struct{ Transport }

func (inPlace) AppendEntries(_ raft.ServerID, _ raft.ServerAddress, q *raft.AppendEntriesRequest, s *raft.AppendEntriesResponse) error {
	s.ID, s.Addr = append(s.ID[:0], "follower"...), append(s.Addr[:0], "address"...)
	s.Term, s.Success = q.Term, true
	return nil
}

// Heartbeats and entries go out side by side, each with an answer of its own,
// which it uses again: none may hold memory of another's.
func TestContactsShareNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newContacts(inPlace{}, 500*time.Millisecond)
		var beats, entries raft.AppendEntriesResponse
		for range 3 {
			for _, s := range []*raft.AppendEntriesResponse{&beats, &entries} {
				if err := c.AppendEntries("f", "f", &raft.AppendEntriesRequest{Term: 1}, s); err != nil || !s.Success {
					t.Fatal(err)
				}
				time.Sleep(60 * time.Millisecond) // a while is no news, then it is
			}
			for _, s := range []*raft.AppendEntriesResponse{&beats, &entries} {
				clear(s.ID)
				clear(s.Addr)
			}
			entries.ID = append(entries.ID[:0], "x"...)
			if len(beats.ID) > 0 && beats.ID[0] != 0 {
				t.Fatal("two answers share their memory")
			}
		}
	})
}

// What is told out of turn must hold in every log that takes it: nothing beyond
// what the follower shares with this term's leader, nothing from another term.
func TestPromptSaysWhatHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		c := newContacts(w, 500*time.Millisecond)
		send := func(q *raft.AppendEntriesRequest) {
			if err := c.AppendEntries("f", "f", q, &raft.AppendEntriesResponse{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		told := func(what string, want ...uint64) {
			t.Helper()
			synctest.Wait()
			var got []uint64
			for _, q := range w.take() {
				if len(q.Entries) == 0 {
					got = append(got, q.Term, q.PrevLogEntry, q.LeaderCommitIndex)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: term, last and commit are %v, want %v", what, got, want)
			}
		}
		c.prompt("f", 3, 1)
		told("to one never met")
		send(entries(1, 1, 3))
		c.prompt("f", 2, 1)
		told("what it has", 1, 3, 2)
		c.prompt("f", 2, 1)
		told("what it knows")
		c.prompt("f", 4, 1)
		told("what it has not, but more than it knows", 1, 3, 3)
		send(entries(1, 4, 5))
		told("when it has it", 1, 5, 4)
		c.prompt("f", 5, 2)
		told("an index of another term")
		c.prompt("f", 9, 1)
		told("much more", 1, 5, 5)
		send(entries(3, 5, 9))
		told("what was wanted in a term that is over")
	})
}

// In an idle group a follower hears of its leader rarely, and never too rarely.
func TestIdleGroupIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wires []*wire
		c := newCluster(t, 3, func(o *Options) {
			inner := o.Transport
			o.Transport = func(id rookery.GroupID) (Transport, error) {
				tr, err := inner(id)
				w := &wire{Transport: tr}
				wires = append(wires, w)
				return w, err
			}
		})
		c.converge(c.apply("c0=v0"))
		time.Sleep(time.Second)
		w := wires[indexOf(c, c.leader())]
		w.take()
		w.mu.Lock()
		w.at = nil
		w.mu.Unlock()
		const span = 20 * time.Second
		time.Sleep(span)
		w.mu.Lock()
		at := slices.Clone(w.at)
		w.mu.Unlock()
		// Two followers, at most every 100 ms each; both streams of the library
		// would be 27 each second and follower.
		if most := 2 * int(span/(100*time.Millisecond)); len(at) > most || len(at) < most/2 {
			t.Errorf("%d requests in %v to two followers, want %d to %d", len(at), span, most/2, most)
		}
		c.close()
	})
}

// Who waits on a follower for what its leader has committed waits for no timer.
func TestPromptEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3, nil)
		c.apply("c0=v0")
		lead := c.leader()
		for round := range 50 {
			follower := c.nodes[(indexOf(c, lead)+1+round%2)%3]
			index := c.apply("c0=v0")
			began := time.Now()
			lead.group.Prompt(rookery.NodeID(follower.name), index+rookery.LogIndex(round)) // no more than is committed is told
			if err := follower.group.Wait(ctxFor(t, time.Minute), index); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > time.Millisecond {
				t.Errorf("round %d: the follower waited %v", round, took)
			}
			time.Sleep(time.Duration(round) * 7 * time.Millisecond)
		}
		c.close()
	})
}
