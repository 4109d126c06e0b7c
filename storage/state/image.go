package state

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"rookery"
)

// Image is a consistent copy of one group's rows, all of them: bookkeeping,
// kept results and the machine's. Close it.
//
// It is a literal type so that packages which do not know this one can name
// the same.
type Image = interface {
	// Index and Term are the last entry the image contains.
	Index() rookery.LogIndex
	Term() uint64
	// Configuration is the Raft configuration in it and its index.
	Configuration() (data []byte, index rookery.LogIndex)
	// Size is exactly how many bytes WriteTo writes.
	Size() int64
	WriteTo(w io.Writer) (int64, error)
	Close() error
}

// The image format: imageMagic, then blocks of
//
//	length(4) | CRC-32C of the payload(4) | payload: (uvarint key length | uvarint value length | key | value)...
//
// in ascending key order, keys without the group, and one block of length 0
// whose checksum field is the low 32 bits of the number of rows.
const imageMagic = "rookery state 1\n"

// Bounds of the image format. A block closes once it has imageBlock bytes.
const (
	imageBlock    = 128 << 10
	maxImageBlock = 64 << 20
	imageHead     = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Snapshot gives an image of everything applied so far. It reads the
// group's rows once to know the size.
func (g *Group) Snapshot() (Image, error) {
	s := g.Read()
	im := &image{snap: s}
	err := func() (err error) {
		if im.position, err = s.position(); err != nil {
			return err
		}
		if im.config, err = s.configuration(); err != nil {
			return err
		}
		im.size, err = im.measure()
		return err
	}()
	if err != nil {
		s.Close()
		return nil, rookery.E("snapshot state", 0, err)
	}
	return im, nil
}

type image struct {
	snap     *Snap
	position position
	config   configuration
	size     int64
}

func (im *image) Index() rookery.LogIndex                   { return im.position.index }
func (im *image) Term() uint64                              { return im.position.term }
func (im *image) Size() int64                               { return im.size }
func (im *image) Configuration() ([]byte, rookery.LogIndex) { return im.config.data, im.config.index }

func (im *image) Close() error {
	im.snap.Close()
	return nil
}

func rowSize(k, v int) int { return uvarintSize(uint64(k)) + uvarintSize(uint64(v)) + k + v }

func uvarintSize(n uint64) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// measure adds up what WriteTo will write, without reading separated values.
func (im *image) measure() (int64, error) {
	size, block := int64(len(imageMagic)), 0
	it, err := im.snap.snap.NewIter(&pebble.IterOptions{LowerBound: im.snap.group.prefix[:], UpperBound: im.snap.group.end})
	if err != nil {
		return 0, readError(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		lazy := it.LazyValue()
		block += rowSize(len(it.Key())-prefixLen, lazy.Len())
		if block >= imageBlock {
			size += imageHead + int64(block)
			block = 0
		}
	}
	if block > 0 {
		size += imageHead + int64(block)
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return 0, readError(err)
	}
	return size + imageHead, nil
}

// WriteTo writes the image. It may be called again.
func (im *image) WriteTo(w io.Writer) (int64, error) {
	out := imageWriter{w: w}
	out.write([]byte(imageMagic))
	err := scanRows(im.snap.snap, im.snap.group, nil, nil, false, func(k, v []byte) (bool, error) {
		return true, out.row(k, v)
	})
	if err == nil {
		err = out.finish()
	}
	if err != nil {
		return out.n, rookery.E("write state image", 0, err)
	}
	return out.n, nil
}

// WriteImage writes an image with the given rows of a machine, in ascending order of
// key, as it is after an entry of the group's log at a group time: for who begins a
// replay with rows from elsewhere.
func WriteImage(w io.Writer, index rookery.LogIndex, term uint64, time int64, rows func(row func(k, v []byte) error) error) error {
	out := imageWriter{w: w}
	out.write([]byte(imageMagic))
	p := position{index: index, term: term, time: time}
	err := out.row([]byte{tableApplied}, p.append(nil))
	if err == nil {
		err = rows(out.row)
	}
	if err == nil {
		err = out.finish()
	}
	if err != nil {
		return rookery.E("write state image", 0, err)
	}
	return nil
}

type imageWriter struct {
	w     io.Writer
	n     int64
	rows  uint32
	block []byte
	err   error
}

func (o *imageWriter) write(p []byte) {
	if o.err != nil {
		return
	}
	n, err := o.w.Write(p)
	o.n, o.err = o.n+int64(n), err
}

func (o *imageWriter) row(k, v []byte) error {
	o.rows++
	o.block = binary.AppendUvarint(o.block, uint64(len(k)))
	o.block = binary.AppendUvarint(o.block, uint64(len(v)))
	o.block = append(append(o.block, k...), v...)
	if len(o.block) >= imageBlock {
		o.flush(crc32.Checksum(o.block, castagnoli))
	}
	return o.err
}

func (o *imageWriter) flush(sum uint32) {
	var head [imageHead]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(o.block)))
	binary.BigEndian.PutUint32(head[4:], sum)
	o.write(head[:])
	o.write(o.block)
	o.block = o.block[:0]
}

func (o *imageWriter) finish() error {
	if len(o.block) > 0 {
		o.flush(crc32.Checksum(o.block, castagnoli))
	}
	o.flush(o.rows)
	return o.err
}

// readImage checks an image and gives its rows to fn, in ascending order of
// key. k and v are valid only during the call.
func readImage(r io.Reader, fn func(k, v []byte) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	magic := make([]byte, len(imageMagic))
	if _, err := io.ReadFull(in, magic); err != nil || string(magic) != imageMagic {
		return damagedImage("it does not begin like one")
	}
	var rows uint32
	var block []byte
	for {
		var head [imageHead]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return cutImage(err)
		}
		n, sum := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint32(head[4:])
		if n == 0 {
			if sum != rows {
				return damagedImage("it has %d rows and says %d", rows, sum)
			}
			return nil
		}
		if n > maxImageBlock {
			return damagedImage("a block claims %d bytes", n)
		}
		var err error
		if block, err = readBlock(in, block, int(n)); err != nil {
			return cutImage(err)
		}
		if crc32.Checksum(block, castagnoli) != sum {
			return damagedImage("a block's checksum is wrong")
		}
		count, err := readRows(block, fn)
		if err != nil {
			return err
		}
		rows += count
	}
}

// readBlock reads n bytes, growing with what really arrives.
func readBlock(in io.Reader, block []byte, n int) ([]byte, error) {
	block = block[:0]
	for len(block) < n {
		k := min(n-len(block), 1<<20)
		if cap(block)-len(block) < k {
			block = append(make([]byte, 0, max(2*cap(block), len(block)+k)), block...)
		}
		part := block[len(block) : len(block)+k]
		if _, err := io.ReadFull(in, part); err != nil {
			return block, err
		}
		block = block[:len(block)+k]
	}
	return block, nil
}

func readRows(block []byte, fn func(k, v []byte) error) (rows uint32, err error) {
	for len(block) > 0 {
		kn, a := binary.Uvarint(block)
		if a <= 0 {
			return rows, damagedImage("a row is cut")
		}
		vn, b := binary.Uvarint(block[a:])
		rest := block[a+max(b, 0):]
		if b <= 0 || kn == 0 || kn > uint64(len(rest)) || vn > uint64(len(rest))-kn {
			return rows, damagedImage("a row is cut")
		}
		if err := fn(rest[:kn], rest[kn:kn+vn]); err != nil {
			return rows, err
		}
		block = rest[kn+vn:]
		rows++
	}
	return rows, nil
}

func damagedImage(format string, args ...any) error {
	return rookery.E("read state image", rookery.KindDamaged, fmt.Errorf("the image is damaged: "+format, args...))
}

func cutImage(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damagedImage("it ends too early")
	}
	return rookery.E("read state image", rookery.KindUnavailable, err)
}
