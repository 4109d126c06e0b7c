package pack

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
// bounded in bytes; what was used longest ago goes first. The content is
// ciphertext. Losing any of it does no harm, so nothing is synced and a file
// that fails its checksum is dropped.
type Cache struct {
	dir    string
	max    int64
	logger *slog.Logger
	temp   atomic.Uint64

	mu    sync.Mutex
	size  int64
	order list.List // front: used last
	items map[cacheName]*list.Element
}

type cacheName [16]byte

type cached struct {
	name cacheName
	size int64
}

// fileOverhead is what an entry costs beside its content: checksum, inode and
// half a block.
const fileOverhead = 4 + 2048

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

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
			all = append(all, found{cached{cacheName(b), info.Size() + fileOverhead}, info.ModTime()})
		}
		return nil
	})
	sort.Slice(all, func(i, j int) bool { return all[i].used.Before(all[j].used) })
	for _, f := range all {
		c.items[f.name] = c.order.PushFront(&f.cached)
		c.size += f.size
	}
	c.remove(c.overflow())
	return err
}

// Get gives what was put under name. The caller owns it.
func (c *Cache) Get(name string) ([]byte, bool) {
	n := nameOf(name)
	c.mu.Lock()
	e, ok := c.items[n]
	if ok {
		c.order.MoveToFront(e)
	}
	c.mu.Unlock()
	if !ok {
		return nil, false
	}
	b, err := os.ReadFile(c.path(n))
	if err != nil || len(b) < 4 || crc32.Checksum(b[4:], castagnoli) != binary.LittleEndian.Uint32(b) {
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			c.logger.Warn("a cached body fails its check and is dropped", "file", c.path(n), "error", err)
		}
		c.drop(n)
		return nil, false
	}
	return b[4:], true
}

// Put keeps data under name, if the disk lets it.
func (c *Cache) Put(name string, data []byte) {
	n := nameOf(name)
	size := int64(len(data)) + fileOverhead
	if size > c.max/4 {
		return // would push out too much else
	}
	if err := c.write(n, data); err != nil {
		c.logger.Debug("a body is not cached", "error", err)
		return
	}
	c.mu.Lock()
	if e, ok := c.items[n]; ok {
		c.size -= e.Value.(*cached).size
		c.order.Remove(e)
	}
	c.items[n] = c.order.PushFront(&cached{n, size})
	c.size += size
	gone := c.overflow()
	c.mu.Unlock()
	c.remove(gone)
}

func (c *Cache) write(n cacheName, data []byte) error {
	path := c.path(n)
	temp := filepath.Join(c.dir, "tmp-"+strconv.FormatUint(c.temp.Add(1), 10))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(data)), crc32.Checksum(data, castagnoli))
	err := os.WriteFile(temp, append(b, data...), 0o600)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp)
	}
	return err
}

// overflow takes what is over the bound off the list; mu is held.
func (c *Cache) overflow() (gone []cacheName) {
	for c.size > c.max {
		e := c.order.Back()
		x := e.Value.(*cached)
		c.order.Remove(e)
		delete(c.items, x.name)
		c.size -= x.size
		gone = append(gone, x.name)
	}
	return gone
}

func (c *Cache) remove(names []cacheName) {
	for _, n := range names {
		os.Remove(c.path(n))
	}
}

func (c *Cache) drop(n cacheName) {
	c.mu.Lock()
	if e, ok := c.items[n]; ok {
		c.size -= e.Value.(*cached).size
		c.order.Remove(e)
		delete(c.items, n)
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
