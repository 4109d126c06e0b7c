package consensus

import (
	"maps"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"rookery"
)

// contacts is a group's transport with a memory of what each follower has
// answered while this node leads. It saves what would be no news, and tells at
// once what somebody waits for.
//
// The library sends each follower of each group two streams of empty
// AppendEntries, each every 50 to 100 ms: heartbeats, and repetitions of the
// commit index. An idle node would do little else. Within a quiet time after an
// answer neither is sent: it is answered as the follower has just answered. A
// leader so believes itself heard up to the quiet time longer than it is, and
// steps down that much later. Nothing rests on that: commits need real answers,
// and so do reads (ReadIndex). A follower hears of its leader at least every
// quiet time and 100 ms.
//
// The library tells followers of a commit with the next entries or repetition.
// Who has written through a follower, or waits there for a read index, would
// wait for that; prompt does not.
type contacts struct {
	Transport
	quiet time.Duration

	work  sync.WaitGroup
	mu    sync.Mutex
	peers map[raft.ServerID]contact
	shut  bool
}

// contact is the last that a follower answered with success.
type contact struct {
	asked   time.Time // when the request was sent
	answer  raft.AppendEntriesResponse
	target  raft.ServerAddress
	header  raft.RPCHeader
	told    told
	toldAt  time.Time
	wanted  uint64 // to be told as committed, in the term of told
	telling bool
}

// told is what a follower knows of the log and of what is committed. In one
// term it only grows.
type told struct{ term, last, lastTerm, commit uint64 }

// committed is what the follower has, and knows to be committed.
func (t told) committed() uint64 { return min(t.last, t.commit) }

// tellAgain is how often a follower is told what it knows: it may have been
// started anew.
const tellAgain = time.Second

func newContacts(t Transport, heartbeat time.Duration) *contacts {
	return &contacts{Transport: t, quiet: heartbeat / 5, peers: map[raft.ServerID]contact{}}
}

// AppendEntries implements raft.Transport.
func (s *contacts) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) error {
	asked := time.Now()
	if s.known(id, args, resp, asked) {
		return nil
	}
	err := s.Transport.AppendEntries(id, target, args, resp)
	s.mu.Lock()
	defer s.mu.Unlock()
	c, met := s.peers[id]
	if err != nil || !resp.Success || resp.Term != args.Term || c.told.term > args.Term {
		delete(s.peers, id)
		return err
	}
	if !met { // who has left the group is not kept
		maps.DeleteFunc(s.peers, func(_ raft.ServerID, c contact) bool { return asked.Sub(c.asked) > tellAgain })
	}
	if asked.After(c.asked) {
		c.asked, c.answer = asked, *resp
		// Not the bytes: the library reads the next answer into the memory of the last.
		c.answer.ID, c.answer.Addr = nil, nil
		c.target, c.header = target, args.RPCHeader
	}
	if !isHeartbeat(args) {
		if args.Term != c.told.term {
			c.wanted = 0
		}
		c.told = c.told.and(after(args))
		if asked.After(c.toldAt) {
			c.toldAt = asked
		}
	}
	s.peers[id] = c
	s.tell(id)
	return nil
}

// known fills in the answer to a request that would be no news.
func (s *contacts) known(id raft.ServerID, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse, now time.Time) bool {
	if len(args.Entries) > 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, met := s.peers[id]
	if !met || c.answer.Term != args.Term || now.Sub(c.asked) >= s.quiet {
		return false
	}
	if !isHeartbeat(args) && (c.told.and(after(args)) != c.told || now.Sub(c.toldAt) >= tellAgain) {
		return false
	}
	*resp = c.answer
	return true
}

// prompt has a follower told that index, which is committed, is: at once if
// the follower has it, else when it has. term is this node's, read after index
// was: what a follower was told in another says nothing about this log.
func (s *contacts) prompt(id raft.ServerID, index, term uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, met := s.peers[id]; met && c.told.term == term {
		c.wanted = max(c.wanted, index)
		s.peers[id] = c
		s.tell(id)
	}
}

// tell sends what a follower has and is wanted to know as committed, one
// request at a time. It says what this node could have said as the leader of
// that term, which stays true whoever leads now. mu is held.
func (s *contacts) tell(id raft.ServerID) {
	c := s.peers[id]
	commit := min(c.wanted, c.told.last) // never what the follower may have otherwise
	if s.shut || c.telling || commit <= c.told.committed() {
		return
	}
	c.telling = true
	s.peers[id] = c
	req := &raft.AppendEntriesRequest{RPCHeader: c.header, Term: c.told.term,
		PrevLogEntry: c.told.last, PrevLogTerm: c.told.lastTerm, LeaderCommitIndex: commit}
	s.work.Go(func() {
		err := s.AppendEntries(id, c.target, req, &raft.AppendEntriesResponse{})
		s.mu.Lock()
		defer s.mu.Unlock()
		if c, met := s.peers[id]; met && err == nil {
			c.telling = false
			s.peers[id] = c
			s.tell(id)
		}
	})
}

// Close implements raft.WithClose.
func (s *contacts) Close() error {
	s.mu.Lock()
	s.shut = true
	s.mu.Unlock()
	err := s.Transport.Close()
	s.work.Wait()
	return err
}

// and is what a follower knows that was told both, in any order.
func (t told) and(o told) told {
	if o.term != t.term {
		if o.term > t.term {
			return o
		}
		return t
	}
	if o.last > t.last {
		t.last, t.lastTerm = o.last, o.lastTerm
	}
	t.commit = max(t.commit, o.commit)
	return t
}

// after is what a follower knows once it has taken a request.
func after(args *raft.AppendEntriesRequest) told {
	t := told{args.Term, args.PrevLogEntry, args.PrevLogTerm, args.LeaderCommitIndex}
	if n := len(args.Entries); n > 0 {
		t.last, t.lastTerm = args.Entries[n-1].Index, args.Entries[n-1].Term
	}
	return t
}

// isHeartbeat is how the library tells heartbeats from other requests.
func isHeartbeat(args *raft.AppendEntriesRequest) bool {
	return args.PrevLogEntry == 0 && args.PrevLogTerm == 0 && len(args.Entries) == 0 && args.LeaderCommitIndex == 0
}

// transport is a group's, with its contacts.
func (n *Node) transport(id rookery.GroupID) (Transport, *contacts, error) {
	t, err := n.opts.Transport(id)
	if err != nil {
		return t, nil, err
	}
	c := newContacts(t, n.opts.Heartbeat)
	return c, c, nil
}

// Prompt has a follower told at once that index is committed, so that who
// waits for it there (Wait) waits no longer than it takes. It must be asked of
// the leader, returns at once and promises nothing: what this node does not know
// as committed yet is not told, and the follower learns of it soon in any case.
func (g *Group) Prompt(follower rookery.NodeID, index rookery.LogIndex) {
	known := min(uint64(index), g.raft.CommitIndex()) // before the term is looked at
	g.contacts.prompt(raft.ServerID(follower), known, g.raft.CurrentTerm())
}
