package verify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/retention"
	"rookery/storage/blob"
	"rookery/storage/command"
)

// group is the verification of one group.
type group struct {
	*run
	id  rookery.GroupID
	rng *rand.Rand

	kept retention.Kept
	// base is the position in kept.Images from which on every second is kept.
	base     int
	segments []segment        // those that are kept, in the order of the log
	sizes    map[string]int64 // of parts of images
	// What came of each image, by position.
	goodImages []bool
	opens      []bool // its manifest does
	gaps       []*archive.Gap
	accounts   [][]rookery.AccountID
	packs      map[command.PackID]int64 // named by segments, with the end of what they say
	faults     []fault
}

// segment is one, and whether it is what it should be.
type segment struct {
	archive.SegmentInfo
	good bool
}

// fault is a finding with the entries that lack because of it: those from first to last.
// Behind an image at entry n these are n and n.
type fault struct {
	Finding
	first, last rookery.LogIndex
	image       bool
}

// maxFaults bounds the faults of a group that are kept until the times that are lost by
// them are known.
const maxFaults = 1000

func (r *run) group(ctx context.Context, id rookery.GroupID) error {
	g := &group{run: r, id: id, rng: rand.New(rand.NewPCG(rand.Uint64(), uint64(id))), sizes: map[string]int64{},
		packs: map[command.PackID]int64{}}
	if err := g.list(ctx); err != nil {
		return err
	}
	if len(g.kept.Images) == 0 {
		return g.found(Finding{Group: id, Key: fmt.Sprintf("img/%08x/", uint32(id)), Fault: Missing, Lost: true, From: time.Unix(0, 0),
			Detail: "there is no image of the group, without which nothing of it can be brought back",
			Mend:   "see that rookery backup status shows the group; a new image is made within seconds where the archive works"})
	}
	err := g.checkImages(ctx)
	if err == nil {
		err = g.checkSegments(ctx)
	}
	if err == nil {
		err = g.again(ctx)
	}
	if err == nil {
		err = g.lostImage(ctx)
	}
	if ferr := g.tell(err == nil); err == nil {
		err = ferr
	}
	if err != nil || r.o.Depth == Metadata || id == rookery.SystemGroup {
		return err
	}
	if err := g.checkPacks(ctx); err != nil {
		return err
	}
	return g.checkBodies(ctx)
}

// list finds what is kept of the group.
func (g *group) list(ctx context.Context) error {
	images, err := archive.Images(ctx, g.o.Archive.Store, g.id)
	if err != nil {
		return err
	}
	segments, err := archive.Segments(ctx, g.o.Archive.Store, g.id)
	if err != nil {
		return err
	}
	if err := g.o.Archive.Store.List(ctx, fmt.Sprintf("img/%08x/", uint32(g.id)), func(i blob.Info) error {
		if _, _, ok := archive.ParsePart(i.Key); ok {
			g.sizes[i.Key] = i.Size
		}
		return nil
	}); err != nil {
		return err
	}
	if g.kept, err = g.decide(images, segments); err != nil {
		return err
	}
	g.base = min(len(g.kept.Points), max(0, len(g.kept.Images)-1))
	for _, s := range segments {
		if len(g.kept.GoneSegments) == 0 || s.Last > g.kept.Images[g.base].Index {
			g.segments = append(g.segments, segment{SegmentInfo: s})
		}
	}
	n := len(g.kept.Images)
	g.opens = make([]bool, n)
	g.goodImages, g.gaps, g.accounts = make([]bool, n), make([]*archive.Gap, n), make([][]rookery.AccountID, n)
	return nil
}

func (g *group) decide(images []archive.ImageInfo, segments []archive.SegmentInfo) (k retention.Kept, err error) {
	now, err := g.o.Now()
	if err != nil {
		return k, err
	}
	return retention.Decide(now, g.o.Rules, images, segments), nil
}

// needed reports whether an object that is not there any more is still needed: the window
// goes on while it is verified, and what is older may have been pruned.
func (g *group) needed(image *archive.ImageInfo, segment *archive.SegmentInfo) (bool, error) {
	segments := make([]archive.SegmentInfo, len(g.segments))
	for i := range segments {
		segments[i] = g.segments[i].SegmentInfo
	}
	k, err := g.decide(g.kept.Images, segments)
	if err != nil {
		return false, err
	}
	for _, x := range k.GoneImages {
		if image != nil && x.Key() == image.Key() {
			return false, nil
		}
	}
	for _, x := range k.GoneSegments {
		if segment != nil && x.Key() == segment.Key() {
			return false, nil
		}
	}
	return true, nil
}

// bad keeps a fault.
func (g *group) bad(f fault) {
	f.Group = g.id
	if len(g.faults) < maxFaults {
		g.faults = append(g.faults, f)
	}
}

// again looks whether segments that seemed to lack have come meanwhile: a listing is not
// of one moment.
func (g *group) again(ctx context.Context) error {
	holes := g.holes()
	if len(holes) == 0 {
		return nil
	}
	segments, err := archive.Segments(ctx, g.o.Archive.Store, g.id)
	if err != nil {
		return err
	}
	have := map[string]bool{}
	for _, s := range g.segments {
		have[s.Key()] = true
	}
	end := g.segments[max(0, len(g.segments)-1):]
	had := len(g.segments)
	for _, s := range segments {
		if !have[s.Key()] && s.Last > g.kept.Images[g.base].Index && (len(end) == 0 || s.First <= end[0].Last) {
			g.segments = append(g.segments, segment{SegmentInfo: s})
		}
	}
	err = g.segmentsFrom(ctx, had)
	slices.SortFunc(g.segments, func(a, b segment) int { return strings.Compare(a.Key(), b.Key()) })
	return err
}

// tell tells of the faults, and of what lacks without an object that would be at fault.
// whole says that everything was read: else the times that are lost are not known.
func (g *group) tell(whole bool) error {
	var holes []hole
	if whole {
		holes = g.holes()
	}
	for _, f := range g.faults {
		for i := range holes {
			if h := &holes[i]; h.has(&f) {
				h.told, f.Lost, f.From, f.To = true, true, h.from, h.to
				break
			}
		}
		if f.image && !f.Lost && whole {
			g.standsInTheWay(&f)
		}
		switch {
		case f.Mend != "":
		case f.Lost:
			f.Mend = "bring the object back from a version or a replica of the backup store; where there is none, that span is lost: note it, " +
				"and find out who changed the store"
		case whole:
			f.Mend = "nothing is lost by it: other objects have the same; find out who changed the store"
		default:
			f.Mend = "verify again to the end, to learn which times are lost by it"
		}
		if err := g.found(f.Finding); err != nil {
			return err
		}
	}
	for _, h := range holes {
		if h.told {
			continue
		}
		if err := g.found(g.lacking(h)); err != nil {
			return err
		}
	}
	return nil
}

// standsInTheWay tells of an image of which a part cannot be read while its manifest can:
// restores begin with it, and fail, although the image before it would do.
func (g *group) standsInTheWay(f *fault) {
	manifest := ""
	for i := range g.kept.Images {
		switch x := &g.kept.Images[i]; {
		case x.Index == f.first && g.opens[i]:
			manifest, f.Lost, f.From = x.Key(), true, unix(x.Time)
		case manifest != "" && g.opens[i]:
			f.To = unix(x.Time)
		}
		if !f.To.IsZero() {
			break
		}
	}
	if manifest != "" {
		f.Mend = "bring the object back from a version or a replica of the backup store; where there is none, delete " + manifest +
			": restores begin at the image before it then, and nothing is lost"
	}
}

// lacking is the finding of a span for which no object is at fault.
func (g *group) lacking(h hole) Finding {
	f := Finding{Group: g.id, Lost: true, From: h.from, To: h.to}
	if h.known != nil {
		f.Key, f.Fault = h.image, Gap
		f.Detail = "the archive says that it lacks this span: " + h.known.Reason
		f.Mend = "nothing mends it; it ends to matter when it is older than the window"
		return f
	}
	f.Key, f.Fault = segmentPrefix(g.id), Missing
	f.Detail = fmt.Sprintf("no segment has the entries %d to %d", h.after+1, h.until)
	f.Mend = "bring the objects back from a version or a replica of the backup store; where there is none, that span is lost: find out " +
		"who deleted them"
	return f
}

func segmentPrefix(id rookery.GroupID) string {
	key := (&archive.SegmentInfo{Group: id}).Key()
	return key[:strings.LastIndexByte(key, '/')+1]
}

// early is how much older than the oldest image segments have to be to tell of an older
// one: where archiving begins, the first entries are from before the first image.
const early = time.Minute

// lostImage notes that segments were written before the oldest image: they followed
// another, which would have been pruned with them were it not needed.
func (g *group) lostImage(ctx context.Context) error {
	if len(g.segments) == 0 || len(g.kept.GoneImages)+len(g.kept.Points) > 0 {
		return nil
	}
	first, oldest := &g.segments[0], &g.kept.Images[0]
	now, err := g.o.Now()
	if err != nil {
		return err
	}
	if first.Last > oldest.Index || oldest.Time-first.To < int64(early) || oldest.Time <= now.Add(-g.o.Rules.Window).UnixNano() {
		return nil
	}
	image, err := g.o.Archive.Store.Stat(ctx, oldest.Key())
	if err == nil {
		var segment blob.Info
		if segment, err = g.o.Archive.Store.Stat(ctx, first.Key()); err == nil && segment.Modified.Before(image.Modified) {
			g.bad(fault{Finding: Finding{Key: fmt.Sprintf("img/%08x/", uint32(g.id)), Fault: Missing, Lost: true, From: unix(first.From),
				To: unix(oldest.Time), Detail: fmt.Sprintf("the segments from entry %d on were written before there was an image to begin "+
					"from: the oldest is at entry %d", first.First, oldest.Index)}})
		}
	}
	if rookery.Is(err, rookery.KindNotFound) {
		return nil // it is told of elsewhere
	}
	return err
}
