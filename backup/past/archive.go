package past

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/sealed"
	"rookery/storage/blob"
)

// Archive is a backup store as it is read.
type Archive struct {
	// Cluster is whose archive it is.
	Cluster string
	Store   blob.Store
	Keys    sealed.Keys
}

// Chain is what brings a group to a time: an image, and the segments behind it.
type Chain struct {
	Image    archive.ImageInfo
	Words    archive.ImageWords
	Segments []archive.SegmentInfo
	// Upto is the last entry of them, Time its group time, unix nanoseconds, which
	// may be before the time that was asked for: nothing is archived from between.
	Upto rookery.LogIndex
	Time int64
}

// Gap is the error of a time that the archive cannot bring back.
type Gap struct {
	// Before and After are the nearest times that it can, zero where there is none.
	Before, After time.Time
	Why           string
}

func (g *Gap) Error() string {
	s := g.Why
	if !g.Before.IsZero() {
		s += fmt.Sprintf("; the nearest time before that can be restored is %s", g.Before.UTC().Format(time.RFC3339))
	}
	if !g.After.IsZero() {
		s += fmt.Sprintf("; the nearest time after it is %s", g.After.UTC().Format(time.RFC3339))
	}
	return s
}

// ErrGap is in the chain of the error of a time that the archive cannot bring back.
var ErrGap = errors.New("the archive has a gap")

// Is makes every Gap an ErrGap.
func (g *Gap) Is(err error) bool { return err == ErrGap }

func gap(before, after int64, format string, args ...any) error {
	g := &Gap{Why: fmt.Sprintf(format, args...)}
	if before > 0 {
		g.Before = time.Unix(0, before)
	}
	if after > 0 {
		g.After = time.Unix(0, after)
	}
	return rookery.E("read archive", rookery.KindNotFound, g)
}

// Chain finds what brings a group to a time, unix nanoseconds. Errors: KindNotFound
// with a Gap; KindDamaged, what is needed is not what was written, and no older
// image leads there either; KindUnavailable.
func (a *Archive) Chain(ctx context.Context, group rookery.GroupID, at int64) (c Chain, err error) {
	images, err := archive.Images(ctx, a.Store, group)
	if err != nil {
		return c, err
	}
	segments, err := archive.Segments(ctx, a.Store, group)
	if err != nil {
		return c, err
	}
	var first error
	for i := len(images) - 1; i >= 0; i-- {
		if images[i].Time > at {
			continue
		}
		c, err := a.from(ctx, images[i], segments, images[i+1:], at)
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = err
		}
		if !rookery.Is(err, rookery.KindDamaged) && !rookery.Is(err, rookery.KindNotFound) {
			return c, err // the store does not answer: an older image would not help
		}
	}
	switch {
	case first != nil:
		return c, first
	case len(images) == 0:
		return c, gap(0, 0, "there is no image of group %d in the archive", group)
	}
	return c, gap(0, images[0].Time, "%s is before the oldest image of group %d", time.Unix(0, at).UTC().Format(time.RFC3339), group)
}

// from follows the segments behind an image. What is missing behind the time does no
// harm, if it is certain that it is of behind it.
func (a *Archive) from(ctx context.Context, image archive.ImageInfo, segments []archive.SegmentInfo, later []archive.ImageInfo, at int64) (
	c Chain, err error) {
	c = Chain{Image: image, Upto: image.Index, Time: image.Time}
	r, err := a.Open(ctx, sealed.Image, image.Key(), image.Size)
	if err != nil {
		return c, err
	}
	if err := r.Words(&c.Words); err != nil {
		return c, err
	}
	for _, s := range segments {
		if s.Last <= c.Upto {
			continue
		}
		if s.First > c.Upto+1 {
			return c, missing(&c, s.First-1, later, at)
		}
		if s.From > at {
			c.Time = at // the segment says that nothing happened before
			return c, nil
		}
		c.Segments = append(c.Segments, s)
		c.Upto, c.Time = s.Last, max(c.Time, min(s.To, at))
	}
	if len(later) > 0 && later[len(later)-1].Index > c.Upto {
		return c, missing(&c, later[len(later)-1].Index, later, at)
	}
	return c, nil
}

// missing is the error of entries behind a chain that the archive does not have, where
// they may be of before the time.
func missing(c *Chain, last rookery.LogIndex, later []archive.ImageInfo, at int64) error {
	if at <= c.Time {
		return nil
	}
	after := int64(0)
	for i := len(later) - 1; i >= 0; i-- {
		if later[i].Time > at {
			after = later[i].Time
		}
	}
	return gap(c.Time, after, "entries %d to %d of group %d are missing from the archive", c.Upto+1, last, c.Image.Group)
}

// Open opens an object of the archive.
func (a *Archive) Open(ctx context.Context, kind sealed.Kind, name string, size int64) (*sealed.Reader, error) {
	return sealed.Open(ctx, a.Store, sealed.Place{Cluster: a.Cluster, Kind: kind, Name: name}, size, a.Keys)
}
