package consensus

import (
	"errors"
	"time"

	"github.com/hashicorp/raft"

	"rookery"
)

// never is an election timeout that does not come: the library doubles it.
const never = 100 * 365 * 24 * time.Hour

// held is the transport of a replica that was forgotten and has not caught up
// with its trace. Its log could be taken for that of a member which never
// acknowledged anything: so it is asked for no vote that the log it once had
// would have refused, and is not told to stand. By itself it does not stand
// either, its election timeout being never.
type held struct {
	Transport
	group *Group
	calls chan raft.RPC
}

// Consumer implements raft.Transport.
func (h *held) Consumer() <-chan raft.RPC { return h.calls }

// run passes on what may be answered, until the group is closed.
func (h *held) run() {
	for {
		select {
		case call := <-h.Transport.Consumer():
			if h.refuses(call) {
				continue
			}
			select {
			case h.calls <- call:
			case <-h.group.closed:
				return
			}
		case <-h.group.closed:
			return
		}
	}
}

// refuses answers a call that the replica must not see.
func (h *held) refuses(call raft.RPC) bool {
	t := h.group.held.Load()
	if t == nil {
		return false
	}
	switch q := call.Command.(type) {
	case *raft.RequestVoteRequest:
		if !t.above(q.LastLogTerm, rookery.LogIndex(q.LastLogIndex)) {
			return false
		}
		call.Respond(&raft.RequestVoteResponse{RPCHeader: q.RPCHeader, Term: q.Term}, nil)
	case *raft.RequestPreVoteRequest:
		if !t.above(q.LastLogTerm, rookery.LogIndex(q.LastLogIndex)) {
			return false
		}
		call.Respond(&raft.RequestPreVoteResponse{RPCHeader: q.RPCHeader, Term: q.Term}, nil)
	case *raft.TimeoutNowRequest:
		call.Respond(&raft.TimeoutNowResponse{RPCHeader: q.RPCHeader}, errors.New("this replica has not caught up yet and does not stand"))
	default:
		return false
	}
	return true
}
