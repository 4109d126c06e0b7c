//go:build chaos

package consensus

import (
	"io"
	"os"

	"github.com/hashicorp/raft"
)

// seam makes, for test/chaos alone, the mutant that commits on one node: the
// leader believes that its followers have stored what it has not sent yet.
func seam(t Transport) Transport {
	if os.Getenv("ROOKERY_MUTANT") != "one-node" {
		return t
	}
	return credulous{t}
}

type credulous struct{ Transport }

func (c credulous) Close() error {
	if t, ok := c.Transport.(io.Closer); ok {
		return t.Close()
	}
	return nil
}

// AppendEntries says yes for the follower. Only what carries no entries is
// answered by it, so that followers still know who leads.
func (c credulous) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if len(args.Entries) == 0 {
		return c.Transport.AppendEntries(id, target, args, resp)
	}
	var late raft.AppendEntriesResponse
	go c.Transport.AppendEntries(id, target, args, &late)
	resp.Term, resp.Success = args.Term, true
	resp.LastLog = args.PrevLogEntry + uint64(len(args.Entries))
	return nil
}

func (c credulous) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}
