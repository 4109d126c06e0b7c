package replicas

import (
	"context"
	"sync"
	"time"

	"rookery"
	"rookery/storage/system/people"
)

// Topic names a part of what a node knows whose changes its jobs follow.
type Topic uint8

// The topics.
const (
	// TopicSettings: the cluster's settings have a new version.
	TopicSettings Topic = iota
	// TopicPlacement: the registry of nodes, the placement of groups, moves of
	// accounts, or what has room to run here.
	TopicPlacement
	// TopicKeys: the tenant keys, or the accounts to erase.
	TopicKeys
	// TopicAccountKeys: there may be accounts whose keys are to be wrapped anew.
	TopicAccountKeys
	// TopicSigning: there are other DKIM keys.
	TopicSigning
	// TopicPeople: the copies of directories have changed.
	TopicPeople
	topicsEnd
)

// Topics wake the jobs that follow something when it changes. Publishing never
// waits: many changes at once wake a job once, and one that comes while the job
// is at work wakes it again.
type Topics struct {
	mu        sync.Mutex
	listeners [topicsEnd][]chan struct{}
}

// Listen gives a channel that holds a wake-up after a change of one of these.
// The listener stays for as long as the node is open.
func (t *Topics) Listen(of ...Topic) <-chan struct{} {
	wake := make(chan struct{}, 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, x := range of {
		t.listeners[x] = append(t.listeners[x], wake)
	}
	return wake
}

// Publish says that something of each of these has changed.
func (t *Topics) Publish(of ...Topic) {
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

// Follow runs step now, after each change of one of these, and when a time has
// passed without one, until ctx ends. It always gives nil: a job's result.
func (t *Topics) Follow(ctx context.Context, every time.Duration, step func(), of ...Topic) error {
	wake := t.Listen(of...)
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

// systemEvents are what the system group's machine reports.
type systemEvents struct{ r *Replicas }

// Settings implements system.Events.
func (e systemEvents) Settings(uint64) { e.r.Publish(TopicSettings) }

// Nodes implements system.Events.
func (e systemEvents) Nodes() { e.r.Publish(TopicPlacement) }

// Keys implements system.KeyEvents.
func (e systemEvents) Keys(erasing []rookery.AccountID) {
	e.r.opts.Erasing(erasing)
	e.r.Publish(TopicKeys, TopicAccountKeys)
}

// SigningKeys implements system.SigningEvents.
func (e systemEvents) SigningKeys() { e.r.Publish(TopicSigning) }

// People implements system.PeopleEvents.
func (e systemEvents) People(t people.Touched) {
	e.r.opts.People(t)
	e.r.Publish(TopicPeople)
}

// Linked implements system.LinkEvents.
func (e systemEvents) Linked() { e.r.opts.Linked() }
