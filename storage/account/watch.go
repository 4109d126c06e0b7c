package account

import (
	"sync"

	"rookery"
)

// Watch wakes a session when its account or mailbox has changed. A wake-up
// says "look again", not what changed; many changes may give one wake-up. A
// wake-up is never lost: a change after the last receive leaves one waiting.
type Watch struct {
	// C has room for one wake-up and is never closed.
	C <-chan struct{}

	c          chan struct{}
	owner      *watchers
	account    rookery.AccountID
	mailbox    rookery.MailboxID
	prev, next *Watch
}

// Watch registers a wake-up for changes of one mailbox, or of the whole account
// when mailbox is 0. The caller closes it.
func (a *Account) Watch(mailbox rookery.MailboxID) *Watch {
	return a.store.watch.add(a.id, mailbox)
}

// Close ends the watch. It may be called more than once.
func (w *Watch) Close() { w.owner.remove(w) }

// Changed is the sink of mailbox.Events: it wakes the watchers of the mailbox
// and of its account. It never blocks.
func (s *Store) Changed(account rookery.AccountID, mailbox rookery.MailboxID, _ rookery.ModSeq) {
	s.watch.wake(account, mailbox)
}

// watchShards spreads the registry so that the apply loops of several groups
// and thousands of sessions do not meet on one lock.
const watchShards = 64

// watchers keeps, per account, a doubly linked list of watches: an idle session
// costs its Watch and channel and no map entry of its own.
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

func (ws *watchers) add(id rookery.AccountID, mailbox rookery.MailboxID) *Watch {
	c := make(chan struct{}, 1)
	w := &Watch{C: c, c: c, owner: ws, account: id, mailbox: mailbox}
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
		select {
		case w.c <- struct{}{}:
		default:
		}
	}
}
