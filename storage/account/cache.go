package account

import "container/list"

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

// dropIf drops every entry whose value fits; it looks at all of them.
func (c *cache[K, V]) dropIf(fits func(V) bool) {
	for k, e := range c.items {
		if fits(e.Value.(*cacheItem[K, V]).value) {
			c.drop(k)
		}
	}
}
