package account

import (
	"sync"

	"rookery"
)

// Watch wakes a session when its account or mailbox has changed. A wake-up
// says "look again", not what changed; many changes may give one wake-up. A
// wake-up is never lost: a change after the last receive leaves one waiting.
type Watch struct {
	// C has room for one wake-up and is never closed. Nil after WatchFunc.
	C <-chan struct{}

	c          chan struct{} // one of c and f is set
	f          func()
	owner      *watchers
	account    rookery.AccountID
	mailbox    rookery.MailboxID
	prev, next *Watch
}

// Watch registers a wake-up for changes of one mailbox, or of the whole account
// when mailbox is 0. The caller closes it.
func (a *Account) Watch(mailbox rookery.MailboxID) *Watch {
	c := make(chan struct{}, 1)
	return a.store.watch.add(&Watch{C: c, c: c, account: a.id, mailbox: mailbox})
}

// WatchFunc is Watch for those who have their own way of being woken: fn is
// called for every change, so that waiting for one costs no goroutine. It is
// called by whoever applies the change and under a lock: it must return at once
// and neither open nor close a watch. After Close has returned it is not called
// again.
func (a *Account) WatchFunc(mailbox rookery.MailboxID, fn func()) *Watch {
	return a.store.watch.add(&Watch{f: fn, account: a.id, mailbox: mailbox})
}

// Close ends the watch. It may be called more than once, and of a Watch that
// was made in no account.
func (w *Watch) Close() {
	if w.owner != nil {
		w.owner.remove(w)
	}
}

// Changed is the sink of mailbox.Events: it wakes the watchers of the mailbox
// and of its account. It never blocks.
func (s *Store) Changed(account rookery.AccountID, mailbox rookery.MailboxID, _ rookery.ModSeq) {
	s.watch.wake(account, mailbox)
}

// watchShards spreads the registry so that the apply loops of several groups
// and thousands of sessions do not meet on one lock.
const watchShards = 64

// watchers keeps, per account, a doubly linked list of watches: an idle session
// costs its Watch, with Watch its channel, and no map entry of its own.
type watchers struct {
	shards [watchShards]watchShard
}

type watchShard struct {
	mu   sync.Mutex
	head map[rookery.AccountID]*Watch
}

func (ws *watchers) shard(id rookery.AccountID) *watchShard {
	return &ws.shards[id[0]%watchShards] // ids are random
}

func (ws *watchers) add(w *Watch) *Watch {
	id := w.account
	w.owner = ws
	s := ws.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.head == nil {
		s.head = make(map[rookery.AccountID]*Watch)
	}
	if h := s.head[id]; h != nil {
		w.next, h.prev = h, w
	}
	s.head[id] = w
	return w
}

func (ws *watchers) remove(w *Watch) {
	s := ws.shard(w.account)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case w.prev != nil:
		w.prev.next = w.next
	case s.head[w.account] == w:
		if w.next == nil {
			delete(s.head, w.account)
		} else {
			s.head[w.account] = w.next
		}
	default:
		return // closed before
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.prev, w.next = nil, nil
}

func (ws *watchers) wake(id rookery.AccountID, mailbox rookery.MailboxID) {
	s := ws.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := s.head[id]; w != nil; w = w.next {
		if w.mailbox != 0 && mailbox != 0 && w.mailbox != mailbox {
			continue
		}
		if w.f != nil {
			w.f()
			continue
		}
		select {
		case w.c <- struct{}{}:
		default:
		}
	}
}
