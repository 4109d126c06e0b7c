package log

import (
	"sync"

	"rookery"
)

// indexCache holds the indexes of the sealed segments that were read lately.
type indexCache struct {
	limit int64

	mu     sync.Mutex
	bytes  int64
	clock  uint64
	loaded []*segment
}

// get gives a sealed segment's index, reading its footer if need be. The
// caller holds a reference on the segment.
func (c *indexCache) get(s *segment) (*index, error) {
	c.mu.Lock()
	c.clock++
	s.used = c.clock
	x := s.sealed
	c.mu.Unlock()
	if x != nil {
		return x, nil
	}
	x, err := s.readFooter()
	if rookery.Is(err, rookery.KindDamaged) {
		x, err = s.rebuild()
	}
	if err != nil {
		return nil, err
	}
	return c.put(s, x), nil
}

// put keeps x as the segment's index, or gives the one that is there.
func (c *indexCache) put(s *segment, x *index) *index {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.sealed != nil {
		return s.sealed
	}
	s.sealed = x
	c.loaded = append(c.loaded, s)
	c.bytes += x.memory()
	for c.bytes > c.limit && len(c.loaded) > 1 {
		oldest := -1
		for i, o := range c.loaded {
			if o != s && !o.rebuilt() && (oldest < 0 || o.used < c.loaded[oldest].used) {
				oldest = i
			}
		}
		if oldest < 0 {
			break
		}
		c.removeAt(oldest)
	}
	return x
}

// drop forgets the index of a segment that is being freed.
func (c *indexCache) drop(s *segment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, o := range c.loaded {
		if o == s {
			c.removeAt(i)
			return
		}
	}
}

func (c *indexCache) removeAt(i int) {
	s, n := c.loaded[i], len(c.loaded)
	c.bytes -= s.sealed.memory()
	s.sealed = nil
	c.loaded[i] = c.loaded[n-1]
	c.loaded[n-1] = nil
	c.loaded = c.loaded[:n-1]
}

// rebuilt reports that the segment's footer is unreadable: its index was made
// by scanning and cannot be read again.
func (s *segment) rebuilt() bool { return s.footer.size == 0 }
