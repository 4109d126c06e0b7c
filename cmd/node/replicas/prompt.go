package replicas

import (
	"context"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
)

// promptAfter is how long a session's replica may hear by itself of what the
// session has changed. On a busy group it does; on an idle one the library
// would tell it 50 to 100 ms later.
const promptAfter = 2 * time.Millisecond

// Wait waits for an index that is committed, and after a moment has the leader
// tell this replica that it is. A leader that does not know the call, or is no
// leader any more, changes nothing: the index comes with what it sends next.
func (l leader) Wait(ctx context.Context, index rookery.LogIndex) error {
	to, err := l.node()
	if err != nil || to == "" {
		return l.Group.Wait(ctx, index)
	}
	brief, cancel := context.WithTimeout(ctx, promptAfter)
	err = l.Group.Wait(brief, index)
	cancel()
	if err == nil || ctx.Err() != nil {
		return err
	}
	asking, stop := context.WithCancel(ctx)
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		peers.Prompt.Ask(asking, l.peers, to, peers.At{Group: l.ID(), Index: index})
	}()
	err = l.Group.Wait(ctx, index)
	stop()
	<-asked
	return err
}
