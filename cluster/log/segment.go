package log

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

// slot is a pre-written file. Segments come and go in it; its name and size
// never change.
type slot struct {
	number uint32
	file   vfs.File
	size   int64
}

// segment is one life of a slot: frames, then the footer, then the trailer in
// the last page.
type segment struct {
	id, salt   uint64
	slot       *slot
	firstFrame uint64
	footer     span         // where the footer's record lies; zero while active
	refs       atomic.Int32 // readers; the slot is not reused before it is 0
	live       *index       // while active, guarded by Log.mu
	sealed     *index       // of a sealed segment, guarded by indexCache.mu; nil when not loaded
	used       uint64       // indexCache's clock
}

// hold keeps a segment's slot from being reused, and the files open, until
// letGo. The caller holds Log.mu and has seen that the log is not closed, or
// is a goroutine that Close waits for.
func (l *Log) hold(s *segment) {
	s.refs.Add(1)
	l.readers.Add(1)
}

func (l *Log) letGo(s *segment) {
	s.refs.Add(-1)
	l.readers.Done()
}

type span struct{ off, size int64 }

func slotName(n uint32) string { return fmt.Sprintf("segment-%06d", n) }

func slotNumber(name string) (uint32, bool) {
	s, ok := strings.CutPrefix(name, "segment-")
	if !ok || len(s) < 6 {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil
}

const trailerMagic = 0x524b59454e440001

// trailer lies in the last page of a sealed segment and finds its footer.
type trailer struct {
	segment, salt uint64
	footer        span
}

const trailerSize = 52

func (t trailer) encode() []byte {
	b := make([]byte, pageSize)
	binary.LittleEndian.PutUint64(b, trailerMagic)
	binary.LittleEndian.PutUint64(b[8:], t.segment)
	binary.LittleEndian.PutUint64(b[16:], t.salt)
	binary.LittleEndian.PutUint64(b[24:], uint64(t.footer.off))
	binary.LittleEndian.PutUint64(b[32:], uint64(t.footer.size))
	binary.LittleEndian.PutUint32(b[48:], crc32.Checksum(b[:48], castagnoli))
	return b
}

func decodeTrailer(b []byte) (t trailer, ok bool) {
	if len(b) < trailerSize || binary.LittleEndian.Uint64(b) != trailerMagic ||
		binary.LittleEndian.Uint32(b[48:]) != crc32.Checksum(b[:48], castagnoli) {
		return t, false
	}
	return trailer{
		segment: binary.LittleEndian.Uint64(b[8:]),
		salt:    binary.LittleEndian.Uint64(b[16:]),
		footer:  span{int64(binary.LittleEndian.Uint64(b[24:])), int64(binary.LittleEndian.Uint64(b[32:]))},
	}, true
}

// createSlot pre-writes a file of the configured size. The file gets its name
// only when its bytes are on disk.
func (l *Log) createSlot(number uint32) (*slot, error) {
	fs, name := l.opts.FS, l.opts.FS.PathJoin(l.opts.Dir, slotName(number))
	size := l.opts.SegmentSize
	f, err := fs.Create(name+".new", "rookery-log")
	if err != nil {
		return nil, err
	}
	write := func() error {
		// From the end, for a file system that grows a file byte by byte.
		zero := make([]byte, min(size, 1<<20))
		for off := int64(0); off < size; off += int64(len(zero)) {
			if _, err := f.Write(zero[:min(int64(len(zero)), size-off)]); err != nil {
				return err
			}
		}
		return f.Sync()
	}
	if err = write(); err == nil {
		err = f.Close()
	} else {
		_ = f.Close()
	}
	if err == nil {
		f, err = fs.OpenReadWrite(name+".new", "rookery-log")
	}
	if err != nil {
		_ = fs.Remove(name + ".new")
		return nil, err
	}
	blank := make([]byte, pageSize)
	frame{}.encode(blank)
	_, err = f.WriteAt(blank, 0)
	if err == nil {
		err = f.Sync()
	}
	made := name + ".new"
	if err == nil {
		if err = fs.Rename(made, name); err == nil {
			made = name
			err = l.syncDir()
		}
	}
	if err != nil {
		_ = f.Close()
		_ = fs.Remove(made)
		return nil, err
	}
	return &slot{number: number, file: f, size: size}, nil
}

func (l *Log) syncDir() error {
	d, err := l.opts.FS.OpenDir(l.opts.Dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// readFull reads exactly len(b) bytes, an error if there are fewer.
func readFull(f vfs.File, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("read %d of %d bytes", n, len(b))
	}
	return err
}

func (s *segment) String() string {
	return fmt.Sprintf("segment %d (%s)", s.id, slotName(s.slot.number))
}

// readFooter loads a sealed segment's index.
func (s *segment) readFooter() (*index, error) {
	fail := func(why string) (*index, error) {
		return nil, rookery.E("read footer", rookery.KindDamaged, fmt.Errorf("%v: %s", s, why))
	}
	if s.footer.size < frameHead+recordHead || s.footer.off < 0 || s.footer.off+s.footer.size > s.slot.size {
		return fail("its trailer points outside the file")
	}
	b := make([]byte, s.footer.size)
	if err := readFull(s.slot.file, b, s.footer.off); err != nil {
		return nil, rookery.E("read footer", rookery.KindUnavailable, err)
	}
	f, ok := decodeFrame(b)
	if !ok || f.segment != s.id || f.salt != s.salt || int64(f.size) > s.footer.size-frameHead {
		return fail("its footer's frame fails its checksum")
	}
	payload := b[frameHead : frameHead+int64(f.size)]
	r, ok := decodeRecord(payload)
	if !ok || r.kind != kindFooter || !r.whole(payload) {
		return fail("its footer fails its checksum")
	}
	x, err := decodeIndex(payload[recordHead:])
	if err != nil {
		return fail(err.Error())
	}
	return x, nil
}
