package consensus

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"

	"rookery"
)

var (
	// ErrNotLeader is in the chain when another node, or none, leads.
	ErrNotLeader = errors.New("this node does not lead the group")
	// ErrClosed is in the chain when the group is shut down.
	ErrClosed = errors.New("the group is closed on this node")
)

// applyError says what an error of the library means for a command:
// KindUnavailable that it was certainly not appended, KindUnknown that it
// may yet be committed.
func applyError(err error) error {
	const op = "apply"
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader):
		return rookery.E(op, rookery.KindUnavailable, ErrNotLeader)
	case errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return rookery.E(op, rookery.KindUnavailable, fmt.Errorf("%w: leadership is moving", ErrNotLeader))
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return rookery.E(op, rookery.KindUnavailable, errors.New("the log does not keep up: the entry was not taken"))
	default:
		// Lost leadership, a shutdown or a failed write after the entry was
		// handed over: any of them may leave it on a quorum.
		return doubtful(op, err)
	}
}

func doubtful(op string, err error) error {
	return &rookery.Error{Op: op, Kind: rookery.KindUnknown, Err: fmt.Errorf("the outcome is not known, ask again under the same id: %w", err)}
}
