package log

import (
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/hashicorp/raft"

	"rookery"
)

// request asks the writer for records. Entries and bodies travel as the
// caller's own slices; requests of all groups that are waiting share a frame.
type request struct {
	group   *Group
	entries []*raft.Log
	records []record
	heads   []byte   // the records' headers, one after the other
	iov     [][]byte // headers, extensions and data as they go to disk
	size    int64
	// plan, if set, makes the records on the writer, when the state is known
	// and nothing else is in the frame.
	plan func() error
	done chan error
}

// newRequest gives a request for the group, nil for the log's own.
func (l *Log) newRequest(g *Group) *request {
	r, _ := l.pool.Get().(*request)
	if r == nil {
		r = &request{done: make(chan error, 1)}
	}
	r.group = g
	return r
}

func (l *Log) release(r *request) {
	clear(r.iov)
	*r = request{records: r.records[:0], heads: r.heads[:0], iov: r.iov[:0], done: r.done}
	l.pool.Put(r)
}

// grow makes room for n headers, which iov will point into.
func (r *request) grow(n int) {
	if cap(r.heads) < n*recordHead {
		r.heads = make([]byte, 0, n*recordHead)
	}
}

// add appends a record. Room for its header must have been made.
func (r *request) add(rec record, extensions, data []byte) {
	at := len(r.heads)
	if at+recordHead > cap(r.heads) {
		panic("log: headers were not counted")
	}
	r.heads = r.heads[:at+recordHead]
	head := r.heads[at:]
	rec.extensions, rec.data = uint32(len(extensions)), uint32(len(data))
	rec.encode(head, extensions, data)
	r.iov = append(r.iov, head)
	if len(extensions) > 0 {
		r.iov = append(r.iov, extensions)
	}
	if len(data) > 0 {
		r.iov = append(r.iov, data)
	}
	r.records = append(r.records, rec)
	r.size += rec.size()
}

// control appends a record of the log's own.
func (r *request) control(rec record, data []byte) {
	if len(r.records) == 0 {
		r.grow(16)
	}
	if len(r.heads)+recordHead > cap(r.heads) { // rare: many groups; move the headers
		heads := make([]byte, len(r.heads), 2*cap(r.heads)+recordHead)
		copy(heads, r.heads)
		r.heads = heads
		at := 0
		for i, k := range r.records {
			_ = i
			r.iov[at] = heads[i*recordHead : (i+1)*recordHead]
			at++
			if k.extensions > 0 {
				at++
			}
			if k.data > 0 {
				at++
			}
		}
	}
	r.add(rec, nil, data)
}

// raw appends an encoded record with another kind, as copying forward does.
func (r *request) raw(rec record, b []byte, as kind) {
	ext := b[recordHead : recordHead+int64(rec.extensions)]
	rec.kind = as
	r.add(rec, ext, b[recordHead+int64(rec.extensions):])
}

func errClosed(op string) error {
	return rookery.E(op, rookery.KindUnavailable, errors.New("the log is closed"))
}

// submit hands the request to the writer, waits, and releases it.
func (l *Log) submit(r *request) error {
	select {
	case l.requests <- r:
	case <-l.closing:
		return errClosed("write log")
	}
	select {
	case err := <-r.done:
		l.release(r)
		return err
	case <-l.stopped:
	}
	select {
	case err := <-r.done:
		l.release(r)
		return err
	default:
		return errClosed("write log")
	}
}

// write is the writer: the only goroutine that appends to segments.
func (l *Log) write() {
	defer close(l.stopped)
	var held *request
	var batch []*request
	for {
		r := held
		held = nil
		if r == nil {
			select {
			case r = <-l.requests:
			case <-l.closing:
				return
			}
		}
		batch = append(batch[:0], r)
		size := r.size
	gather:
		for r.plan == nil && size < int64(l.opts.MaxFlush) {
			select {
			case r = <-l.requests:
				if r.plan != nil || size+r.size > int64(l.opts.MaxFlush) {
					held = r
					break gather
				}
				batch = append(batch, r)
				size += r.size
			default:
				break gather
			}
		}
		l.flush(batch)
		clear(batch)
	}
}

// flush writes one frame for the batch and answers its requests.
func (l *Log) flush(batch []*request) {
	good := batch[:0]
	var size int64
	var records int
	for _, r := range batch {
		if err := l.admit(r); err != nil {
			r.done <- err
			continue
		}
		if len(r.records) == 0 {
			r.done <- nil
			continue
		}
		size += r.size
		records += len(r.records)
		good = append(good, r)
	}
	if len(good) == 0 {
		return
	}
	err := l.broken()
	if err == nil {
		err = l.room(size, records)
	}
	if err == nil {
		err = l.frame(good, size, records)
	}
	if err != nil {
		for _, r := range good {
			if r.group != nil {
				r.group.next = r.group.log.last()
			}
		}
	}
	for _, r := range good {
		r.done <- err
	}
}

// admit checks a request against the state it will be applied to.
func (l *Log) admit(r *request) error {
	if r.plan != nil {
		return r.plan()
	}
	if g := r.group; len(r.entries) > 0 {
		first, last := r.entries[0].Index, r.entries[len(r.entries)-1].Index
		if g.next != 0 && first != g.next+1 || first == 0 {
			return rookery.E("store log", rookery.KindInvalid, fmt.Errorf("group %d: entry %d does not follow the last, %d", g.id, first, g.next))
		}
		g.next = last
	}
	return nil
}

// frame writes the batch, waits for the disk and publishes.
func (l *Log) frame(batch []*request, size int64, records int) error {
	s := l.active
	f := frame{segment: s.id, salt: s.salt, number: l.number, size: uint32(size), records: uint32(records)}
	iov := append(l.iov[:0], l.head[:])
	for _, r := range batch {
		f.heads = crc32.Update(f.heads, castagnoli, r.heads)
		iov = append(iov, r.iov...)
	}
	f.encode(l.head[:])
	if pad := f.space() - frameHead - size; pad > 0 {
		iov = append(iov, l.zero[:pad])
	}
	err := l.put(s.slot, iov, l.off)
	clear(iov)
	l.iov = iov[:0]
	if err != nil {
		return err
	}
	l.mu.Lock()
	at := l.off + frameHead
	for _, r := range batch {
		for _, rec := range r.records {
			l.apply(s, rec, at)
			at += rec.size()
		}
		for _, e := range r.entries {
			r.group.cache.add(e)
			l.stats.Entries++
			l.stats.EntryBytes += uint64(len(e.Data))
		}
		if r.group != nil {
			r.group.next = r.group.log.last()
		}
	}
	l.stats.Flushes++
	l.mu.Unlock()
	l.off += f.space()
	l.number++
	return nil
}

// put writes and syncs. Whatever goes wrong here is final.
func (l *Log) put(s *slot, iov [][]byte, off int64) error {
	l.timer.Reset(stallAfter)
	err := writeAll(s.file, iov, off)
	if err == nil {
		err = s.file.SyncData()
	}
	l.timer.Stop()
	if err != nil {
		return l.fail(rookery.E("write log", rookery.KindUnavailable, fmt.Errorf("%s at %d: %w", slotName(s.number), off, err)))
	}
	return l.broken()
}

// fail makes every later write fail and tells the owner, once.
func (l *Log) fail(err error) error {
	if l.failed.CompareAndSwap(nil, &err) {
		l.opts.OnStall(err)
	}
	return *l.failed.Load()
}

func (l *Log) broken() error {
	if p := l.failed.Load(); p != nil {
		return *p
	}
	return nil
}

func (l *Log) stalled() {
	_ = l.fail(rookery.E("write log", rookery.KindUnavailable,
		fmt.Errorf("a write or fsync in %s has been stuck for %v", l.opts.Dir, stallAfter)))
}

func newStopped(f func()) *time.Timer {
	t := time.AfterFunc(time.Hour, f)
	t.Stop()
	return t
}
