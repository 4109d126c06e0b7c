package account

import (
	"container/list"
	"context"
	"sync"
)

// cache is a bounded map that forgets the entry used longest ago. It is not
// safe for concurrent use.
type cache[K comparable, V any] struct {
	max   int
	order list.List // front: used last
	items map[K]*list.Element
}

type cacheItem[K comparable, V any] struct {
	key   K
	value V
}

func newCache[K comparable, V any](max int) *cache[K, V] {
	return &cache[K, V]{max: max, items: make(map[K]*list.Element)}
}

func (c *cache[K, V]) get(k K) (v V, ok bool) {
	e, ok := c.items[k]
	if !ok {
		return v, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cacheItem[K, V]).value, true
}

func (c *cache[K, V]) put(k K, v V) {
	if e, ok := c.items[k]; ok {
		e.Value.(*cacheItem[K, V]).value = v
		c.order.MoveToFront(e)
		return
	}
	c.items[k] = c.order.PushFront(&cacheItem[K, V]{k, v})
	for len(c.items) > c.max {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.items, last.Value.(*cacheItem[K, V]).key)
	}
}

func (c *cache[K, V]) drop(k K) {
	if e, ok := c.items[k]; ok {
		c.order.Remove(e)
		delete(c.items, k)
	}
}

// flights lets one caller do the work for a key while the others wait for the
// same outcome, each under its own context.
type flights struct {
	mu sync.Mutex
	m  map[string]*flight
}

type flight struct {
	done chan struct{}
	err  error
}

// do runs fn once for all callers of the key that meet. A caller whose own ctx
// ends leaves; one whose leader's ctx ended tries again itself.
func (f *flights) do(ctx context.Context, key string, fn func() error) error {
	for {
		f.mu.Lock()
		fl := f.m[key]
		if fl == nil {
			fl = &flight{done: make(chan struct{})}
			if f.m == nil {
				f.m = make(map[string]*flight)
			}
			f.m[key] = fl
			f.mu.Unlock()
			f.run(key, fl, fn)
			return fl.err
		}
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-fl.done:
		}
		if fl.err == nil || ctx.Err() != nil {
			return fl.err
		}
		// The other caller failed, perhaps only by its own deadline.
	}
}

func (f *flights) run(key string, fl *flight, fn func() error) {
	defer func() {
		f.mu.Lock()
		delete(f.m, key)
		f.mu.Unlock()
		close(fl.done)
	}()
	fl.err = errFlightPanicked
	fl.err = fn()
}
