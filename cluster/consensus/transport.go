package consensus

import (
	"log/slog"
	"time"

	"github.com/hashicorp/raft"

	"rookery"
)

// transportTimeout bounds one request between nodes; images get more, by
// their size.
const transportTimeout = 10 * time.Second

// NewNetworkTransport is a group's transport over connections that stream
// dials and accepts. One AppendEntries is in flight per follower: with two,
// a follower whose disk failed one write is never sent entries again by the
// same leader.
func NewNetworkTransport(group rookery.GroupID, stream raft.StreamLayer, logger *slog.Logger) Transport {
	return seam(raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: stream, MaxPool: 3, MaxRPCsInFlight: 1, Timeout: transportTimeout,
		Logger: raftLogger(logger, group),
	}))
}

// Address is how Raft writes a server's address.
type Address = raft.ServerAddress

// Transport carries one group's messages between nodes.
type Transport interface {
	raft.Transport
	raft.WithPreVote
	raft.WithClose
}
