package read

import (
	"rookery"
	"rookery/storage/command"
)

// The sizes of read-ahead, in blocks.
const (
	// aheadGap is how many blocks a reader may skip and still read on.
	aheadGap = 4
	// aheadGrowth is how much more is read each time a reader has used what
	// was read before.
	aheadGrowth = 8
	// firstOfBody is what the first read of a long body brings.
	firstOfBody = 4
	// maxWalk bounds what is read beyond the body that was asked for: a pack.
	maxWalk = 8 << 20 / blockSize
	// maxOfBody bounds what is read at once of a body that is read on.
	maxOfBody = 16 << 20 / blockSize
	// maxStreams bounds the packs whose reading is followed.
	maxStreams = 256
)

// ahead decides how much of a pack is read at once. It follows in each pack how
// the reading goes: one who reads on, up or down, and uses what was read ahead
// gets more each time, up to the whole pack; one who jumps, or leaves most of
// it aside because the pack is other people's, gets little. Who comes to the
// end of a pack and goes on in the next keeps the window. It knows blocks only,
// no sessions: a session that fetches a folder in small steps, or in several
// commands, is followed all the same.
type ahead struct {
	streams map[string]*stream
	turn    uint64
}

// stream is how one pack is being read.
type stream struct {
	group rookery.GroupID
	pack  command.PackID
	// lo to hi are the blocks read last, of so many.
	lo, hi, of int64
	// used counts those that somebody wanted, last is the newest of them.
	used, last int64
	window     int64
	down       bool // towards the beginning
	left       bool // the reader went on in another pack
	turn       uint64
}

// note says that a block was wanted.
func (a *ahead) note(key string, i int64) {
	s := a.streams[key]
	if s == nil || i == s.last || i < s.lo || i >= s.hi {
		return
	}
	s.used, s.last = s.used+1, i
	a.touch(s)
}

func (a *ahead) touch(s *stream) {
	a.turn++
	s.turn = a.turn
}

// plan gives the blocks to read where block i is wanted and not here, and the
// body it belongs to goes on for rest blocks, i included. most bounds them.
func (a *ahead) plan(t target, i, rest, most int64) (lo, hi int64) {
	s := a.streams[t.key]
	up := s != nil && i >= s.hi && i <= s.hi+aheadGap
	down := s != nil && i < s.lo && i >= s.lo-1-aheadGap
	switch {
	case up || down:
		s.down = down
		s.grow()
		if up {
			s.window = max(s.window, min(rest, maxOfBody))
		}
	default:
		s = a.begin(t, i)
		s.window = max(s.window, min(rest, firstOfBody))
	}
	a.touch(s)
	lo, hi = i, i+1
	if n := min(s.window, most); s.down {
		lo = max(0, hi-n)
	} else {
		hi = min(t.blocks(), lo+n)
	}
	s.lo, s.hi, s.of, s.used, s.last = lo, hi, t.blocks(), 0, -1
	return lo, hi
}

// grow makes the window larger where the last one was used, else smaller.
func (s *stream) grow() {
	if s.mostlyUsed() {
		s.window = min(s.window*aheadGrowth, max(maxWalk, s.window))
	} else {
		s.window = max(s.window/aheadGrowth, 1)
	}
}

func (s *stream) mostlyUsed() bool { return 2*s.used >= s.hi-s.lo }

// begin follows a pack anew: with a block, or with the window of a reader that
// comes from the pack before.
func (a *ahead) begin(t target, i int64) *stream {
	s := &stream{group: t.group, pack: t.pack, window: 1}
	if from := a.comingFrom(t, i); from != nil {
		from.left = true
		from.grow()
		s.window, s.down = min(from.window, maxWalk), from.down
	}
	if a.streams == nil {
		a.streams = make(map[string]*stream)
	}
	if _, there := a.streams[t.key]; !there && len(a.streams) >= maxStreams {
		a.forget()
	}
	a.streams[t.key] = s
	return s
}

// comingFrom finds who has read a pack to its end lately and may go on here.
func (a *ahead) comingFrom(t target, i int64) (found *stream) {
	for _, s := range a.streams {
		if s.group != t.group || s.left || s.window == 1 || !s.mostlyUsed() || found != nil && s.turn < found.turn {
			continue
		}
		up := !s.down && s.hi == s.of && s.pack < t.pack && i <= t.blocks()/4
		down := s.down && s.lo == 0 && s.pack > t.pack && i >= t.blocks()*3/4
		if up || down {
			found = s
		}
	}
	return found
}

func (a *ahead) forget() {
	oldest := ""
	for key, s := range a.streams {
		if oldest == "" || s.turn < a.streams[oldest].turn {
			oldest = key
		}
	}
	delete(a.streams, oldest)
}
