package node

import (
	"context"
	"sync"
	"time"
)

// topic names a part of what a node knows whose changes its jobs follow.
type topic uint8

const (
	// topicSettings: the cluster's settings have a new version.
	topicSettings topic = iota
	// topicPlacement: the registry of nodes, the placement of groups, moves of
	// accounts, or what has room to run here.
	topicPlacement
	// topicKeys: the tenant keys, or the accounts to erase.
	topicKeys
	// topicAccountKeys: there may be accounts whose keys are to be wrapped anew.
	topicAccountKeys
	topicsEnd
)

// topics wake the jobs that follow something when it changes. Publishing never
// waits: many changes at once wake a job once, and one that comes while the job
// is at work wakes it again.
type topics struct {
	mu        sync.Mutex
	listeners [topicsEnd][]chan struct{}
}

// listen gives a channel that holds a wake-up after a change of one of these.
// The listener stays for as long as the node is open.
func (t *topics) listen(of ...topic) <-chan struct{} {
	wake := make(chan struct{}, 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range of {
		t.listeners[x] = append(t.listeners[x], wake)
	}
	return wake
}

// publish says that something of each of these has changed.
func (t *topics) publish(of ...topic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range of {
		for _, wake := range t.listeners[x] {
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	}
}

// follow runs step now, after each change of one of these, and when a time has
// passed without one, until ctx ends. It always gives nil: a job's result.
func (t *topics) follow(ctx context.Context, every time.Duration, step func(), of ...topic) error {
	wake := t.listen(of...)
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		step()
		timer.Reset(every)
		select {
		case <-wake:
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
	}
}
