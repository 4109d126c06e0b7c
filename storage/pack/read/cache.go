package read

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rookery"
)

// Cache keeps what was fetched from the object store in files of a directory,
// bounded in bytes. The content is ciphertext. Losing any of it does no harm, so
// nothing is synced and a file that fails its checksum is dropped.
//
// It is a segmented LRU: what comes in is on trial, and what is used again later
// is held, in at most four fifths of the room; what is on trial and was used
// longest ago goes first. A sync of a whole mailbox, which uses everything once
// or some times within moments, pushes out what is on trial and nothing that is
// held. A held file has the owner's execute bit, so that a restart knows it.
type Cache struct {
	dir    string
	max    int64
	logger *slog.Logger
	temp   atomic.Uint64
	hits   atomic.Uint64
	misses atomic.Uint64

	mu       sync.Mutex
	size     int64 // of all, holding of those held
	holding  int64
	admitted int64     // bytes that ever came in
	trial    list.List // of *cached; front: used last
	held     list.List
	items    map[cacheName]*list.Element
}

type cacheName [16]byte

type cached struct {
	name cacheName
	size int64
	held bool
	// at is what was admitted when it came: uses soon after are one use.
	at int64
}

const (
	trialMode fs.FileMode = 0o600
	heldMode  fs.FileMode = 0o700
)

// fileOverhead is what an entry costs beside its content: checksum, inode and
// half a block.
const fileOverhead = 4 + 2048

var checksums = crc32.MakeTable(crc32.Castagnoli)

// OpenCache opens the cache in dir, made if missing, with at most max bytes.
// What an earlier run left there is used again, the oldest dropped first.
func OpenCache(dir string, max int64, logger *slog.Logger) (*Cache, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	c := &Cache{dir: dir, max: max, logger: logger, items: make(map[cacheName]*list.Element)}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, rookery.E("open cache", rookery.KindUnavailable, err)
	}
	if err := c.load(); err != nil {
		return nil, rookery.E("open cache", rookery.KindUnavailable, err)
	}
	return c, nil
}

func (c *Cache) load() error {
	type found struct {
		cached
		used time.Time
	}
	var all []found
	err := filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := hex.DecodeString(d.Name())
		if err != nil || len(b) != len(cacheName{}) {
			if strings.HasPrefix(d.Name(), "tmp-") {
				os.Remove(path)
			}
			return nil
		}
		if info, err := d.Info(); err == nil {
			x := cached{name: cacheName(b), size: info.Size() + fileOverhead, held: info.Mode()&0o100 != 0, at: -c.max}
			all = append(all, found{x, info.ModTime()})
		}
		return nil
	})
	sort.Slice(all, func(i, j int) bool { return all[i].used.Before(all[j].used) })
	for _, f := range all {
		c.add(&f.cached)
	}
	c.remove(c.overflow())
	return err
}

// add enters an item; mu is held, or nobody else knows the cache yet.
func (c *Cache) add(x *cached) {
	c.size += x.size
	if x.held {
		c.holding += x.size
		c.items[x.name] = c.held.PushFront(x)
	} else {
		c.items[x.name] = c.trial.PushFront(x)
	}
}

// take takes an item off; mu is held.
func (c *Cache) take(e *list.Element) *cached {
	x := e.Value.(*cached)
	c.size -= x.size
	if x.held {
		c.holding -= x.size
		c.held.Remove(e)
	} else {
		c.trial.Remove(e)
	}
	delete(c.items, x.name)
	return x
}

// use notes that an item was read and gives those whose mode is to change; mu
// is held.
func (c *Cache) use(e *list.Element) (changed []cached) {
	x := e.Value.(*cached)
	if x.held {
		c.held.MoveToFront(e)
		return nil
	}
	if c.admitted-x.at < c.max/16 {
		c.trial.MoveToFront(e)
		return nil // one who reads on in small steps
	}
	c.take(e)
	x.held = true
	c.add(x)
	changed = append(changed, *x)
	for c.holding > c.max/5*4 {
		y := c.take(c.held.Back())
		y.held, y.at = false, c.admitted
		c.add(y)
		changed = append(changed, *y)
	}
	return changed
}

// CacheStats are the numbers of a Cache.
type CacheStats struct {
	Hits, Misses uint64 // since it was opened
	Bytes        int64
}

// Stats reads the cache's numbers.
func (c *Cache) Stats() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return CacheStats{c.hits.Load(), c.misses.Load(), c.size}
}

// Get gives what was put under name. The caller owns it.
func (c *Cache) Get(name string) ([]byte, bool) {
	b, ok := c.get(name)
	if ok {
		c.hits.Add(1)
	} else {
		c.misses.Add(1)
	}
	return b, ok
}

func (c *Cache) get(name string) ([]byte, bool) {
	n := nameOf(name)
	c.mu.Lock()
	e, ok := c.items[n]
	var changed []cached
	if ok {
		changed = c.use(e)
	}
	c.mu.Unlock()
	if !ok {
		return nil, false
	}
	c.mark(changed)
	b, err := os.ReadFile(c.path(n))
	if err != nil || len(b) < 4 || crc32.Checksum(b[4:], checksums) != binary.LittleEndian.Uint32(b) {
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			c.logger.Warn("a cached body fails its check and is dropped", "file", c.path(n), "error", err)
		}
		c.drop(n)
		return nil, false
	}
	return b[4:], true
}

// mark writes down what is held.
func (c *Cache) mark(changed []cached) {
	for _, x := range changed {
		mode := trialMode
		if x.held {
			mode = heldMode
		}
		os.Chmod(c.path(x.name), mode) // lost, it is on trial again after a restart
	}
}

// Has says whether there is something under name. It is no use of it.
func (c *Cache) Has(name string) bool {
	n := nameOf(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.items[n]
	return ok
}

// Put keeps data under name, if the disk lets it, and says whether it did.
func (c *Cache) Put(name string, data []byte) bool {
	n := nameOf(name)
	size := int64(len(data)) + fileOverhead
	if size > c.max/4 {
		return false // would push out too much else
	}
	if err := c.write(n, data); err != nil {
		c.logger.Debug("a body is not cached", "error", err)
		return false
	}
	c.mu.Lock()
	if e, ok := c.items[n]; ok {
		c.take(e)
	}
	c.admitted += size
	c.add(&cached{name: n, size: size, at: c.admitted})
	gone := c.overflow()
	c.mu.Unlock()
	c.remove(gone)
	return true
}

func (c *Cache) write(n cacheName, data []byte) error {
	path := c.path(n)
	temp := filepath.Join(c.dir, "tmp-"+strconv.FormatUint(c.temp.Add(1), 10))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(data)), crc32.Checksum(data, checksums))
	err := os.WriteFile(temp, append(b, data...), trialMode)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp)
	}
	return err
}

// overflow takes what is over the bound off the lists; mu is held.
func (c *Cache) overflow() (gone []cacheName) {
	for c.size > c.max {
		e := c.trial.Back()
		if e == nil {
			e = c.held.Back()
		}
		gone = append(gone, c.take(e).name)
	}
	return gone
}

func (c *Cache) remove(names []cacheName) {
	for _, n := range names {
		os.Remove(c.path(n))
	}
}

// Drop forgets what was put under name.
func (c *Cache) Drop(name string) { c.drop(nameOf(name)) }

func (c *Cache) drop(n cacheName) {
	c.mu.Lock()
	if e, ok := c.items[n]; ok {
		c.take(e)
	}
	c.mu.Unlock()
	os.Remove(c.path(n))
}

// Size is the bytes in use.
func (c *Cache) Size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}

func nameOf(s string) cacheName {
	sum := sha256.Sum256([]byte(s))
	return cacheName(sum[:16])
}

func (c *Cache) path(n cacheName) string {
	return filepath.Join(c.dir, hex.EncodeToString(n[:1]), hex.EncodeToString(n[:]))
}
