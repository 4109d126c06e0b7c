package log

import "github.com/hashicorp/raft"

// cache holds a group's newest entries, consecutive, bounded in bytes. It
// hands out the very slices that StoreLogs was given, so that replication and
// the state machine read an entry without a copy. Log.mu guards it.
type cache struct {
	limit, bytes int64
	entries      []raft.Log
	head         int
}

func weight(e *raft.Log) int64 { return int64(len(e.Data)+len(e.Extensions)) + 128 }

func (c *cache) add(e *raft.Log) {
	if n := len(c.entries); n > c.head && c.entries[n-1].Index+1 != e.Index {
		c.clear()
	}
	if len(c.entries) == cap(c.entries) && c.head > len(c.entries)/2 {
		n := copy(c.entries, c.entries[c.head:])
		clear(c.entries[n:])
		c.entries, c.head = c.entries[:n], 0
	}
	c.entries = append(c.entries, *e)
	c.bytes += weight(e)
	for c.bytes > c.limit && c.head < len(c.entries) {
		c.bytes -= weight(&c.entries[c.head])
		c.entries[c.head] = raft.Log{}
		c.head++
	}
}

func (c *cache) get(index uint64) *raft.Log {
	if c.head == len(c.entries) {
		return nil
	}
	first := c.entries[c.head].Index
	if index < first || index-first >= uint64(len(c.entries)-c.head) {
		return nil
	}
	return &c.entries[c.head+int(index-first)]
}

// before drops everything above last.
func (c *cache) before(last uint64) {
	for n := len(c.entries); n > c.head && c.entries[n-1].Index > last; n-- {
		c.bytes -= weight(&c.entries[n-1])
		c.entries[n-1] = raft.Log{}
		c.entries = c.entries[:n-1]
	}
}

func (c *cache) clear() {
	clear(c.entries)
	c.entries, c.head, c.bytes = c.entries[:0], 0, 0
}
