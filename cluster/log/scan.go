package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"rookery"
)

// scanner receives a segment's frames in order.
type scanner struct {
	// frame gets a frame with its header. sound is false when only the record
	// headers are whole.
	frame func(off int64, f frame, b []byte, sound bool)
	// gap, if set, hears that the bytes from off are illegible although a
	// whole frame follows at next.
	gap func(off, next int64, f frame)
}

// readFrame reads the frame at off into buf, which grows as needed. The frame
// is neither legible nor sound when there is none of this segment.
func (s *segment) readFrame(off int64, buf []byte) (f frame, payload []byte, readable, sound bool, err error) {
	if off+frameHead > s.slot.size {
		return f, nil, false, false, nil
	}
	head := append(buf[:0], make([]byte, frameHead)...)
	if err := s.read(head, off); err != nil {
		return f, nil, false, false, err
	}
	f, ok := decodeFrame(head)
	if !ok || f.segment != s.id || f.salt != s.salt || off+frameHead+int64(f.size) > s.slot.size {
		return f, nil, false, false, nil
	}
	b := append(head, make([]byte, f.size)...)
	if err := s.read(b[frameHead:], off+frameHead); err != nil {
		return f, nil, false, false, err
	}
	readable, sound = legible(f, b[frameHead:])
	return f, b[frameHead:], readable, sound, nil
}

func (s *segment) read(b []byte, off int64) error {
	err := readFull(s.slot.file, b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return rookery.E("read segment", rookery.KindUnavailable, fmt.Errorf("%v at %d: %w", s, off, err))
	}
	return err
}

// scan walks the frames from the segment's start and returns where the next
// frame goes and its number. A bad frame that a good one follows is damage;
// one that none follows is the tail of a write that was never acknowledged.
func (s *segment) scan(v *scanner) (end int64, number uint64, err error) {
	off, number := int64(0), s.firstFrame
	var buf []byte
	for off+frameHead <= s.slot.size {
		f, payload, readable, sound, err := s.readFrame(off, buf)
		if err != nil {
			return 0, 0, err
		}
		readable, sound = readable && f.number == number, sound && f.number == number
		if !sound {
			next, nf, err := s.nextFrame(off+pageSize, func(f frame) bool {
				return f.segment == s.id && f.salt == s.salt && f.number > number
			})
			if err != nil {
				return 0, 0, err
			}
			if next < 0 {
				return off, number, nil
			}
			if !readable {
				if v.gap != nil {
					v.gap(off, next, nf)
				}
				off, number = next, nf.number
				continue
			}
		}
		buf = payload[:0]
		whole := make([]byte, frameHead, frameHead+len(payload))
		f.encode(whole)
		whole = append(whole, payload...)
		v.frame(off, f, whole, sound)
		off += f.space()
		number++
	}
	return off, number, nil
}

// nextFrame finds the first whole frame from off on that wanted accepts, -1 if
// there is none.
func (s *segment) nextFrame(off int64, wanted func(frame) bool) (int64, frame, error) {
	chunk := make([]byte, 64*pageSize)
	magic := binary.LittleEndian.AppendUint32(nil, frameMagic)
	for off = alignUp(off); off+frameHead <= s.slot.size; {
		b := chunk[:min(int64(len(chunk)), s.slot.size-off)]
		if err := s.read(b, off); err != nil {
			return -1, frame{}, err
		}
		for at := 0; at+frameHead <= len(b); at += pageSize {
			if !bytes.HasPrefix(b[at:], magic) {
				continue
			}
			f, ok := decodeFrame(b[at:])
			if !ok || !wanted(f) {
				continue
			}
			as := &segment{id: f.segment, salt: f.salt, slot: s.slot}
			if _, _, _, sound, err := as.readFrame(off+int64(at), nil); err != nil {
				return -1, f, err
			} else if sound {
				return off + int64(at), f, nil
			}
		}
		off += int64(len(chunk))
	}
	return -1, frame{}, nil
}
