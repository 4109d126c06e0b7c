//go:build chaos

package consensus

import (
	"os"
	"time"

	"github.com/hashicorp/raft"
)

// byLibrary is, for test/chaos alone, the mutant with the library's barrier in
// the place of ours.
var byLibrary = os.Getenv("ROOKERY_MUTANT") == "verify-leader"

// seam makes, for test/chaos alone, the mutant that commits on one node: the
// leader takes silence of its followers for a yes.
func seam(t Transport) Transport {
	if os.Getenv("ROOKERY_MUTANT") != "one-node" {
		return t
	}
	return credulous{t}
}

type credulous struct{ Transport }

// patience is how long the mutant waits for a follower before it says yes in
// its place.
const patience = 50 * time.Millisecond

// AppendEntries says yes for a follower that does not answer. What carries no
// entries is answered by the follower alone.
func (c credulous) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) error {
	if len(args.Entries) == 0 {
		return c.Transport.AppendEntries(id, target, args, resp)
	}
	var real raft.AppendEntriesResponse
	done := make(chan error, 1)
	go func() { done <- c.Transport.AppendEntries(id, target, args, &real) }()
	select {
	case err := <-done:
		if err == nil {
			*resp = real
			return nil
		}
	case <-time.After(patience):
	}
	resp.Term, resp.Success = args.Term, true
	resp.LastLog = args.PrevLogEntry + uint64(len(args.Entries))
	return nil
}

func (c credulous) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}
