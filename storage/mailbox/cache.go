package mailbox

import (
	"sync"

	"rookery"
)

// uidCache shares each mailbox's list of UIDs between its sessions. An entry
// names the state it shows by uidsModSeq, which changes with every change of
// the list; a view whose mailbox has another one brings the entry forward by
// what came since, or scans. Readers hold immutable versions.
type uidCache struct {
	mu      sync.Mutex
	entries map[boxKey]cachedUIDs
	epoch   uint64 // counts resets: what was read before one is not kept
}

type boxKey struct {
	account rookery.AccountID
	mailbox rookery.MailboxID
}

type cachedUIDs struct {
	modseq rookery.ModSeq // box.uidsModSeq
	next   rookery.UID    // UIDNEXT
	uids   UIDs
}

// maxCached bounds the mailboxes in the cache.
const maxCached = 20000

func (c *uidCache) get(k boxKey) (e cachedUIDs, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok = c.entries[k]
	return e, ok
}

func (c *uidCache) generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoch
}

// put keeps e unless a newer version is there or the state was replaced
// since epoch.
func (c *uidCache) put(k boxKey, e cachedUIDs, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return
	}
	if c.entries == nil {
		c.entries = make(map[boxKey]cachedUIDs)
	}
	old, ok := c.entries[k]
	if ok && old.modseq >= e.modseq {
		return
	}
	if !ok && len(c.entries) >= maxCached {
		for victim := range c.entries {
			delete(c.entries, victim)
			break
		}
	}
	c.entries[k] = e
}

func (c *uidCache) drop(a rookery.AccountID, m rookery.MailboxID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, boxKey{a, m})
}

// forget drops an account's entries.
func (c *uidCache) forget(a rookery.AccountID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	for k := range c.entries {
		if k.account == a {
			delete(c.entries, k)
		}
	}
}

func (c *uidCache) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	c.entries = nil
}
