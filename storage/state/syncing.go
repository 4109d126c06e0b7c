package state

import (
	"sync"
	"time"
)

// syncEvery is how long what was applied may be in memory alone. The log has it
// anyway, and a node that starts applies it again; but after the loss of a
// majority what the survivors' states have is all that is known to be committed
// (see datadir.PlanRecovery).
const syncEvery = 500 * time.Millisecond

// startSyncing makes what is applied durable soon, also where nothing follows.
func (s *Store) startSyncing() {
	done := make(chan struct{})
	var wg sync.WaitGroup
	s.stop = func() { close(done); wg.Wait() }
	wg.Go(func() {
		for {
			select {
			case <-s.changed:
			case <-done:
				return
			}
			select {
			case <-time.After(syncEvery):
			case <-done:
				return // Close syncs
			}
			if err := s.Sync(); err != nil {
				s.logger.Error("the state database failed; the node must stop", "error", err)
				s.fail(err)
				return
			}
		}
	})
}
