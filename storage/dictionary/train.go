package dictionary

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/klauspost/compress/zstd"

	"rookery"
)

const (
	// gramLen is the length in bytes of what is counted.
	gramLen = 8
	// gramBits is the size of the table of counts.
	gramBits = 21
	// windowLen is the length in bytes of the stretches that are chosen.
	windowLen = 512
	// minPiece is the shortest shared string worth keeping.
	minPiece = 10
	// maxRounds bounds how often all text is gone through.
	maxRounds = 24
)

// Trained is a dictionary as Train made it.
type Trained struct {
	// Dictionary is in zstd's format (RFC 8878 5).
	Dictionary []byte
	// Pieces are the strings its content consists of, each of them shared.
	Pieces [][]byte
	// Samples, Accounts and Talks count what it was trained on.
	Samples, Accounts, Talks int
}

// Train makes a dictionary with an id out of samples. Its content consists of
// strings that occur, each of them whole, in the mail of at least least
// accounts and in at least least conversations, and of nothing else; its tables
// are statistics over all samples. KindConflict says that the samples share too
// little. It takes some seconds of one core.
func Train(ctx context.Context, id uint32, samples []Sample, least int) (Trained, error) {
	const op = "train dictionary"
	if least < MinAccounts {
		return Trained{}, rookery.E(op, rookery.KindInvalid, fmt.Errorf("what %d accounts have is not shared: at least %d", least, MinAccounts))
	}
	if len(samples) < MinSamples {
		return Trained{}, rookery.E(op, rookery.KindConflict, fmt.Errorf("%d messages are too few to train on, %d are needed", len(samples), MinSamples))
	}
	samples = bounded(samples)
	t := newText(samples)
	out := Trained{Samples: len(samples), Accounts: len(count(t.who)), Talks: len(count(t.talk))}
	if out.Accounts < least || out.Talks < least {
		return Trained{}, rookery.E(op, rookery.KindConflict, fmt.Errorf(
			"the mail is of %d accounts in %d conversations; a string counts as shared from %d of each on", out.Accounts, out.Talks, least))
	}
	c := cover{text: t, least: least, grams: make([]gram, 1<<gramBits)}
	c.count()
	if err := c.choose(ctx); err != nil {
		return Trained{}, err
	}
	out.Pieces = c.pieces
	content := bytes.Join(c.pieces, nil)
	if len(content) < Size/16 {
		return Trained{}, rookery.E(op, rookery.KindConflict, fmt.Errorf("the mail of different accounts shares %d bytes only", len(content)))
	}
	var err error
	out.Dictionary, err = Format(id, content, samples)
	return out, err
}

// bounded takes as many samples as there is room for, evenly.
func bounded(samples []Sample) []Sample {
	step := 1
	size := 0
	for _, s := range samples {
		size += len(Cut(s.Text))
	}
	step = max((len(samples)+MaxSamples-1)/MaxSamples, (size+MaxText-1)/MaxText)
	if step <= 1 {
		return samples
	}
	out := make([]Sample, 0, len(samples)/step+1)
	for i := 0; i < len(samples); i += step {
		out = append(out, samples[i])
	}
	return out
}

func count(numbers []uint32) map[uint32]bool {
	m := map[uint32]bool{}
	for _, n := range numbers {
		m[n] = true
	}
	return m
}

// gram counts one hash of gramLen bytes.
type gram struct {
	sample, samples   uint32 // the last one, and how many
	account, accounts uint32
}

// cover chooses the stretches of text that cover most of what repeats, as
// zstd's own trainer does (COVER), and of these only what is shared.
type cover struct {
	*text
	least  int
	grams  []gram
	pieces [][]byte // the best last: what is near costs least
	size   int
}

func hash(b []byte) uint32 {
	return uint32(binary.LittleEndian.Uint64(b) * 0xcf1bbcdcb7a56463 >> (64 - gramBits))
}

// count counts in how many samples and accounts every gram occurs. Samples lie
// by account, so that remembering the last one is enough.
func (c *cover) count() {
	for i := range c.starts {
		for off := c.starts[i]; off+gramLen <= c.end(i); off++ {
			g := &c.grams[hash(c.all[off:])]
			if n := uint32(i + 1); g.sample != n {
				g.sample = n
				g.samples++
			}
			if g.account != c.who[i] {
				g.account = c.who[i]
				g.accounts++
			}
		}
	}
	for i := range c.grams {
		g := &c.grams[i]
		g.sample = 0
		if g.accounts < uint32(c.least) {
			g.samples = 0
		}
	}
}

// choose goes through the text in parts, taking the best stretch of each,
// until there is enough or nothing left.
func (c *cover) choose(ctx context.Context) error {
	parts := max(1, min(Size/windowLen, len(c.all)/(8*windowLen)))
	per := len(c.all)/parts + 1
	for range maxRounds {
		before := c.size
		for at := 0; at < len(c.all) && c.size < Size; at += per {
			if err := ctx.Err(); err != nil {
				return err
			}
			c.take(c.best(at, min(at+per, len(c.all))))
		}
		if c.size >= Size || c.size == before {
			break
		}
	}
	slices.Reverse(c.pieces)
	return nil
}

// best is the stretch between from and to whose different grams count most.
func (c *cover) best(from, to int) (start, end int) {
	within := make(map[uint32]int, windowLen)
	var score, most uint64
	at := from
	for off := from; off+gramLen <= to; off++ {
		h := hash(c.all[off:])
		if within[h]++; within[h] == 1 {
			score += uint64(c.grams[h].samples)
		}
		if off-at >= windowLen-gramLen+1 {
			old := hash(c.all[at:])
			if within[old]--; within[old] == 0 {
				delete(within, old)
				score -= uint64(c.grams[old].samples)
			}
			at++
		}
		if score > most {
			most, start, end = score, at, off+gramLen
		}
	}
	return start, end
}

// take keeps the shared strings of a stretch, and counts what it covers no more.
func (c *cover) take(start, end int) {
	var found [][]byte
	for off := start; off < end; {
		i := c.sampleAt(off)
		n := 0
		if off+gramLen <= end && c.grams[hash(c.all[off:])].samples > 0 {
			n = c.sharedPrefix(c.all[off:min(end, c.end(i))], c.least)
		}
		if n == 0 {
			c.done(off)
			off++
			continue
		}
		found = append(found, c.all[off:off+n])
		for k := range n {
			c.done(off + k)
		}
		off += n
	}
	slices.Reverse(found) // all are reversed in the end
	for _, p := range found {
		if c.size += len(p); c.size > Size {
			c.size = Size
			return
		}
		c.pieces = append(c.pieces, p)
	}
}

// done makes the gram at off count no more.
func (c *cover) done(off int) {
	if off+gramLen <= len(c.all) {
		c.grams[hash(c.all[off:])].samples = 0
	}
}

// Format brings content into zstd's format, with tables made for the samples.
func Format(id uint32, content []byte, samples []Sample) ([]byte, error) {
	texts := make([][]byte, len(samples))
	for i, s := range samples {
		texts[i] = Cut(s.Text)
	}
	d, err := zstd.BuildDict(zstd.BuildDictOptions{ID: id, Contents: texts, History: content, Offsets: [3]int{1, 4, 8}, Level: zstd.SpeedFastest})
	if err != nil {
		return nil, rookery.E("train dictionary", rookery.KindConflict, errors.Join(errors.New("the messages have too little in common"), err))
	}
	return d, nil
}
