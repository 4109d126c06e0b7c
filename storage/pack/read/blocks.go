package read

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"rookery"
	"rookery/storage/blob"
	"rookery/storage/command"
)

const (
	// blockSize is the unit in which packs are fetched and cached, in bytes.
	blockSize = 64 << 10
	// recentBlocks are kept in memory for those who read on in small steps:
	// 16 MiB on a node.
	recentBlocks = 256
	// maxFetches and maxAheads bound the requests under way at a time, and
	// those of them that read ahead; each holds one block in memory.
	maxFetches = 64
	maxAheads  = 16
	// aheadUncached is read at most where the cache keeps nothing: what is
	// read ahead has to wait in memory then.
	aheadUncached = recentBlocks / 16
	// fetchLimit bounds a request, which outlives the reader that began it.
	fetchLimit = 2 * time.Minute
)

// target is the pack that is read. size is its length in bytes, or how much of
// it is known to be there; whole, where set, asks for its length.
type target struct {
	group rookery.GroupID
	pack  command.PackID
	key   string
	size  int64
	whole func() int64
}

// sized is the target with its length. It costs a look into the state, so only
// requests ask.
func (t target) sized() target {
	if t.whole != nil {
		t.size, t.whole = max(t.size, t.whole()), nil
	}
	return t
}

func (t target) blocks() int64 { return (t.size + blockSize - 1) / blockSize }

// length is that of block i.
func (t target) length(i int64) int64 { return min(blockSize, t.size-i*blockSize) }

// block names a block of an object.
type block struct {
	key string
	n   int64
}

func (b block) name() string { return b.key + " " + strconv.FormatInt(b.n, 10) }

// blocks reads packs block by block: from memory, the cache, or the store.
// Readers that want the same share a request. Blocks handed out must not be
// changed.
type blocks struct {
	store blob.Store
	cache *Cache // or nil
	base  context.Context
	stop  context.CancelFunc
	slots chan struct{}
	wg    sync.WaitGroup // the requests

	mu       sync.Mutex
	closed   bool
	recent   *simplelru.LRU[block, []byte]
	coming   map[block]*coming
	ahead    ahead
	aheads   int  // requests under way that read ahead
	uncached bool // the cache did not keep the last block
	gets     uint64
	bytes    int64
}

// coming is a block on its way; data and err are set when done is closed.
type coming struct {
	block
	done  chan struct{}
	wants bool // the request was made for this block
	data  []byte
	err   error
}

func newBlocks(store blob.Store, cache *Cache) *blocks {
	recent, _ := simplelru.NewLRU[block, []byte](recentBlocks, nil) // fails for a size below 1 only
	s := &blocks{store: store, cache: cache, slots: make(chan struct{}, maxFetches),
		recent: recent, coming: map[block]*coming{}, uncached: cache == nil}
	s.base, s.stop = context.WithCancel(context.Background())
	return s
}

// close ends the requests under way and waits for them.
func (s *blocks) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.wg.Wait()
}

// get gives block i of a pack with at least need bytes. rest is for how many
// blocks, i included, the body goes on.
func (s *blocks) get(ctx context.Context, t target, i int64, need int, rest int64) ([]byte, error) {
	id := block{t.key, i}
	for try := 0; ; try++ {
		data, c := s.here(id, need)
		if c == nil && data == nil {
			data, c = s.elsewhere(t, i, need, rest)
		}
		if c == nil {
			return data, nil
		}
		select {
		case <-c.done:
		case <-ctx.Done():
			return nil, rookery.E("read body", rookery.KindUnavailable, ctx.Err())
		}
		if c.err == nil && len(c.data) >= need {
			s.mu.Lock()
			s.ahead.note(id.key, id.n)
			s.mu.Unlock()
			return c.data, nil
		}
		if c.err == nil {
			return nil, rookery.E("read body", rookery.KindDamaged,
				fmt.Errorf("block %d of %s has %d bytes, fewer than %d", i, t.key, len(c.data), need))
		}
		if c.wants || try > 0 || ctx.Err() != nil {
			return nil, c.err
		}
		// It was somebody's read-ahead that failed: read it for itself.
	}
}

// here looks in memory.
func (s *blocks) here(id block, need int) ([]byte, *coming) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held(id, need)
}

// held is here with mu held.
func (s *blocks) held(id block, need int) ([]byte, *coming) {
	if data, ok := s.recent.Get(id); ok && len(data) >= need {
		s.ahead.note(id.key, id.n)
		return data, nil
	}
	return nil, s.coming[id]
}

// elsewhere gives a block from the cache, or the request that brings it.
func (s *blocks) elsewhere(t target, i int64, need int, rest int64) ([]byte, *coming) {
	id := block{t.key, i}
	if s.cache != nil {
		if data, ok := s.cache.Get(id.name()); ok && len(data) >= need {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.recent.Add(id, data)
			s.ahead.note(id.key, id.n)
			return data, nil
		}
	}
	t = t.sized()
	s.mu.Lock()
	defer s.mu.Unlock()
	if data, c := s.held(id, need); data != nil || c != nil {
		return data, c // came meanwhile
	}
	return nil, s.begin(t, i, rest)
}

// begin starts the request for block i and what is read ahead; mu is held.
func (s *blocks) begin(t target, i, rest int64) *coming {
	most := int64(maxOfBody)
	if s.uncached {
		most = aheadUncached
	}
	if s.aheads >= maxAheads {
		most = 1
	}
	lo, hi := s.ahead.plan(t, i, rest, most)
	for from := lo; from < i; from++ { // what is here is not fetched again
		if s.have(block{t.key, from}) {
			lo = from + 1
		}
	}
	for to := i + 1; to < hi; to++ {
		if s.have(block{t.key, to}) {
			hi = to
		}
	}
	cs := make([]*coming, 0, hi-lo)
	for n := lo; n < hi; n++ {
		c := &coming{block: block{t.key, n}, done: make(chan struct{}), wants: n == i}
		s.coming[c.block] = c
		cs = append(cs, c)
	}
	if s.closed {
		s.arrived(cs, nil, rookery.E("read body", rookery.KindUnavailable, errors.New("this node is stopping")))
		return cs[i-lo]
	}
	if len(cs) > 1 {
		s.aheads++
	}
	s.gets++
	s.wg.Add(1)
	go s.fetch(t, cs) // ends with the request, which is bounded; close waits for it
	return cs[i-lo]
}

// have says whether a block is here or on its way; mu is held.
func (s *blocks) have(id block) bool {
	return s.recent.Contains(id) || s.coming[id] != nil || s.cache != nil && s.cache.Has(id.name())
}

// fetch reads blocks that lie one after the other, with one request, and hands
// out each as it comes.
func (s *blocks) fetch(t target, cs []*coming) {
	defer s.wg.Done()
	ctx, cancel := context.WithTimeout(s.base, fetchLimit)
	defer cancel()
	r, err := s.open(ctx, t, cs[0].n, cs[len(cs)-1].n)
	for k, c := range cs {
		data := make([]byte, 0)
		if err == nil {
			data = make([]byte, t.length(c.n))
			_, err = io.ReadFull(r, data)
		}
		s.mu.Lock()
		if err != nil {
			s.arrived(cs[k:], nil, failedRead(t.key, err))
			s.mu.Unlock()
			break
		}
		s.arrived(cs[k:k+1], data, nil)
		s.mu.Unlock()
		s.preserve(c.block, data)
	}
	if r != nil {
		r.Close()
		<-s.slots
	}
	if len(cs) > 1 {
		s.mu.Lock()
		s.aheads--
		s.mu.Unlock()
	}
}

// open begins the request; with a reader it holds a slot.
func (s *blocks) open(ctx context.Context, t target, first, last int64) (io.ReadCloser, error) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	off := first * blockSize
	r, err := s.store.Get(ctx, t.key, off, last*blockSize+t.length(last)-off)
	if err != nil {
		<-s.slots
		return nil, err
	}
	return r, nil
}

// preserve puts a block into the cache.
func (s *blocks) preserve(id block, data []byte) {
	if s.cache == nil {
		return
	}
	kept := s.cache.Put(id.name(), data)
	s.mu.Lock()
	s.uncached = !kept
	s.mu.Unlock()
}

// arrived hands out what came, or why it did not; mu is held.
func (s *blocks) arrived(cs []*coming, data []byte, err error) {
	for _, c := range cs {
		c.data, c.err = data, err
		delete(s.coming, c.block)
		if err == nil {
			s.bytes += int64(len(data))
			s.recent.Add(c.block, data)
		}
		close(c.done)
	}
}

// drop forgets blocks that were found bad.
func (s *blocks) drop(key string, first, last int64) {
	for n := first; n <= last; n++ {
		id := block{key, n}
		s.mu.Lock()
		s.recent.Remove(id)
		s.mu.Unlock()
		if s.cache != nil {
			s.cache.Drop(id.name())
		}
	}
}

// failedRead gives the error of a request its kind.
func failedRead(key string, err error) error {
	kind := rookery.KindOf(err)
	switch kind {
	case rookery.KindNotFound:
		return rookery.E("read body", rookery.KindDamaged, fmt.Errorf("pack %s is missing in the object store: %w", key, err))
	case rookery.KindUnknown:
		kind = rookery.KindUnavailable
	}
	return rookery.E("read body", kind, fmt.Errorf("pack %s: %w", key, err))
}
