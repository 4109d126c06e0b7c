package verify

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/sealed"
	"rookery/storage/mailbox"
)

// some is how many accounts of an image are remembered for a sample.
const some = 32

// checkImages reads every image that is kept.
func (g *group) checkImages(ctx context.Context) error {
	for i := range g.kept.Images {
		if err := g.image(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// image reads one: its manifest, and then all of its parts.
func (g *group) image(ctx context.Context, i int) error {
	x := &g.kept.Images[i]
	var words archive.ImageWords
	r, err := g.o.Archive.Open(ctx, sealed.Image, x.Key(), x.Size)
	if err == nil {
		err = r.Words(&words)
	}
	if err != nil {
		return g.noImage(ctx, i, x.Key(), err)
	}
	g.opens[i] = true
	good, err := g.parts(ctx, i, &words)
	if err != nil {
		return err
	}
	g.report.Images++
	g.report.Bytes += x.Size
	g.goodImages[i] = good
	g.gaps[i] = words.Gap
	return g.step(g.id, 1)
}

// noImage notes that an object of an image cannot be read.
func (g *group) noImage(ctx context.Context, i int, key string, why error) error {
	x := &g.kept.Images[i]
	f, err := g.fault(ctx, key, why)
	if err != nil {
		return err
	}
	if f.Fault == Missing {
		needed, err := g.needed(x, nil)
		if err != nil || !needed {
			g.goodImages[i] = err == nil
			return err
		}
	}
	g.bad(fault{Finding: f, first: x.Index, last: x.Index, image: true})
	return nil
}

// part is what came of a part.
type part struct {
	err         error
	rows        uint64
	first, last []byte // keys
	accounts    []rookery.AccountID
}

// parts reads the parts of an image, some at a time.
func (g *group) parts(ctx context.Context, i int, words *archive.ImageWords) (good bool, err error) {
	x := &g.kept.Images[i]
	good = true
	fail := func(key string, err error) error {
		good = false
		return g.noImage(ctx, i, key, err)
	}
	var rows uint64
	var size int64
	var last []byte
	seen := 0
	for from := 0; from < len(words.Parts); from += atOnce {
		to := min(from+atOnce, len(words.Parts))
		results := make([]part, to-from)
		work, ctx2 := errgroup.WithContext(ctx)
		for n := from; n < to; n++ {
			work.Go(func() error {
				results[n-from] = g.part(ctx2, x, n, &words.Parts[n])
				return ctx2.Err()
			})
		}
		if err := work.Wait(); err != nil {
			return false, err
		}
		for n := range results {
			p := &results[n]
			if p.err == nil && p.rows > 0 && bytes.Compare(p.first, last) <= 0 {
				p.err = differs("its rows begin before those of the part before it end")
			}
			if p.err != nil {
				if err := fail(x.Part(from+n), p.err); err != nil {
					return false, err
				}
				continue
			}
			rows, size, last = rows+p.rows, size+words.Parts[from+n].Size, p.last
			seen = g.remember(i, p, seen)
		}
		if err := g.step(g.id, len(results)); err != nil {
			return false, err
		}
	}
	g.report.Bytes += size
	if good && (rows != words.Rows || size != words.Bytes) {
		return false, fail(x.Key(), differs("it says that its parts have %d rows and %d bytes, and they have %d and %d", words.Rows, words.Bytes,
			rows, size))
	}
	return good, g.beyond(x, len(words.Parts))
}

// remember keeps accounts of an image: some at random, or for Depth All every one.
func (g *group) remember(i int, p *part, seen int) int {
	for _, id := range p.accounts {
		seen++
		switch at := g.rng.IntN(seen); {
		case g.o.Depth == All || len(g.accounts[i]) < some:
			g.accounts[i] = append(g.accounts[i], id)
		case at < some:
			g.accounts[i][at] = id
		}
	}
	return seen
}

// beyond tells of parts that the manifest does not have.
func (g *group) beyond(x *archive.ImageInfo, parts int) error {
	for key := range g.sizes {
		if i, n, ok := archive.ParsePart(key); ok && i.Key() == x.Key() && n >= parts {
			if err := g.found(Finding{Group: g.id, Key: key, Fault: Foreign, Detail: fmt.Sprintf("the image has %d parts", parts),
				Mend: "nothing is lost by it; it goes with its image"}); err != nil {
				return err
			}
		}
	}
	return nil
}

// part reads a part and compares it with what the manifest says of it.
func (g *group) part(ctx context.Context, x *archive.ImageInfo, n int, words *archive.PartWords) (p part) {
	key := x.Part(n)
	if size, is := g.sizes[key]; is && size != words.Size {
		p.err = differs("it has %d bytes, and its manifest says %d", size, words.Size)
		return p
	}
	r, err := g.o.Archive.Open(ctx, sealed.ImagePart, key, words.Size)
	if err == nil && r.Frames() != len(words.Keys)+len(words.Chunks) {
		err = differs("it has %d frames, and its manifest says %d", r.Frames(), len(words.Keys)+len(words.Chunks))
	}
	if err != nil {
		p.err = err
		return p
	}
	for f := 0; f < r.Frames() && p.err == nil; f++ {
		b, err := r.Frame(ctx, f)
		switch {
		case err != nil:
			p.err = err
		case f < len(words.Keys):
			p.err = p.frame(b, words.Keys[f], g.o.Depth != Metadata)
		default:
			c := words.Chunks[f-len(words.Keys)]
			if c.Frame != f || c.Len != int64(len(b)) {
				p.err = differs("frame %d is not the part of a body that its manifest says", f)
			}
		}
	}
	return p
}

// frame looks at the rows of one.
func (p *part) frame(b, first []byte, accounts bool) error {
	n := 0
	return archive.Rows(b, func(k, _ []byte) error {
		switch {
		case n == 0 && !bytes.Equal(k, first):
			return differs("a frame begins with another row than its manifest says")
		case bytes.Compare(k, p.last) <= 0:
			return differs("its rows are not in order")
		}
		if p.rows == 0 {
			p.first = bytes.Clone(k)
		}
		n++
		p.rows++
		p.last = append(p.last[:0], k...)
		if id, is := mailbox.PastAccount(k); is && accounts {
			p.accounts = append(p.accounts, id)
		}
		return nil
	})
}
