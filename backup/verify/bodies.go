package verify

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/past"
	"rookery/storage/blob"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
)

// awayInARow is after how many messages, one behind the other, whose store does not
// answer a run ends.
const awayInARow = 5

// bodies reads messages of one group.
type bodies struct {
	*group
	read   map[uint64]uint64 // the bodies that were read, as bits
	away   int
	enough int // how many messages are read in all; 0 is every one
	n      int
}

// point is a time as of which accounts are brought back, with what of the archive that
// takes: an image and, at the end of the archive, segments.
type point struct {
	at       int64
	image    archive.ImageInfo
	archive  past.Archive
	accounts []rookery.AccountID
}

// checkBodies reads messages as of the retained points and the archive's end.
func (g *group) checkBodies(ctx context.Context) error {
	b := &bodies{group: g, read: map[uint64]uint64{}}
	points := g.points()
	if g.o.Depth == All {
		for _, p := range points {
			for _, id := range p.accounts {
				if err := b.account(ctx, p, id, 0); err != nil {
					return err
				}
			}
		}
		return nil
	}
	b.enough = g.o.Sample
	return b.sample(ctx, points)
}

// sample reads some messages of some accounts: half of them as of the archive's end, half
// as of an image picked at random. Where there are few accounts it reads more of each.
func (b *bodies) sample(ctx context.Context, points []*point) error {
	for _, p := range points {
		b.rng.Shuffle(len(p.accounts), func(i, j int) { p.accounts[i], p.accounts[j] = p.accounts[j], p.accounts[i] })
	}
	for each := max(1, b.enough/16); ; each = min(4*each, b.enough) {
		left := make([]*point, len(points))
		for i, p := range points {
			again := *p
			left[i] = &again
		}
		if err := b.round(ctx, left, each); err != nil || b.n >= b.enough || each >= b.enough {
			return err
		}
	}
}

// round reads at most each messages of every account.
func (b *bodies) round(ctx context.Context, left []*point, each int) error {
	for turn := 0; b.n < b.enough; turn++ {
		left = slices.DeleteFunc(left, func(p *point) bool { return len(p.accounts) == 0 })
		if len(left) == 0 {
			return nil
		}
		p := left[len(left)-1]
		if turn%2 == 1 {
			p = left[b.rng.IntN(len(left))]
		}
		id := p.accounts[0]
		p.accounts = p.accounts[1:]
		if err := b.account(ctx, p, id, each); err != nil {
			return err
		}
	}
	return nil
}

// points are those of good images, the oldest first, and the end of the archive where
// nothing lacks before it.
func (g *group) points() (all []*point) {
	newest := -1
	for i, x := range g.kept.Images {
		if g.goodImages[i] {
			newest = i
			all = append(all, g.point(i, x.Time, nil))
		}
	}
	if newest < 0 {
		return nil
	}
	upto, at := g.kept.Images[newest].Index, g.kept.Images[newest].Time
	var behind []archive.SegmentInfo
	for _, s := range g.segments {
		if s.good && s.Last > upto && s.First <= upto+1 {
			behind = append(behind, s.SegmentInfo)
			upto, at = s.Last, max(at, s.To)
		}
	}
	if len(behind) > 0 {
		all = append(all, g.point(newest, at, behind))
	}
	return all
}

func (g *group) point(i int, at int64, behind []archive.SegmentInfo) *point {
	x := g.kept.Images[i]
	p := &point{at: at, image: x, accounts: slices.Clone(g.accounts[i])}
	if a := g.o.Account; a != (rookery.AccountID{}) {
		p.accounts = []rookery.AccountID{a}
	}
	only := only{Store: g.o.Archive.Store, all: []blob.Info{{Key: x.Key(), Size: x.Size}}}
	for _, s := range behind {
		only.all = append(only.all, blob.Info{Key: s.Key(), Size: s.Size})
	}
	p.archive = past.Archive{Cluster: g.o.Archive.Cluster, Store: only, Keys: g.o.Archive.Keys}
	return p
}

// only is a store that lists some objects alone, without a request: what is read is those
// that were judged, and not others that could stand in for them.
type only struct {
	blob.Store
	all []blob.Info
}

// List implements blob.Store.
func (o only) List(_ context.Context, prefix string, fn func(blob.Info) error) error {
	for _, i := range o.all {
		if len(i.Key) >= len(prefix) && i.Key[:len(prefix)] == prefix {
			if err := fn(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// account brings an account back and reads most of its messages, 0 all.
func (b *bodies) account(ctx context.Context, p *point, id rookery.AccountID, most int) error {
	key, err := b.o.Key(ctx, id)
	switch {
	case rookery.Is(err, rookery.KindNotFound):
		return nil // erased: it is not promised
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		b.report.Unchecked++
		return nil
	}
	then, err := past.Open(ctx, past.Options{Archive: &p.archive, Dir: b.o.Dir, Group: b.id, Account: id, At: p.at})
	switch {
	case rookery.Is(err, rookery.KindMoved), rookery.Is(err, rookery.KindNotFound) && !errors.Is(err, past.ErrGap):
		return nil // it was in another group then
	case rookery.Is(err, rookery.KindDamaged), errors.Is(err, past.ErrGap):
		return b.found(Finding{Group: b.id, Key: p.image.Key(), Fault: Damaged, Account: id, At: time.Unix(0, p.at), Detail: err.Error(),
			Mend: "the account cannot be brought back as of that time; try others, and report this: its objects open and do not fit"})
	case err != nil:
		return err
	}
	defer then.Close()
	v, err := then.View()
	if err != nil {
		return err
	}
	defer v.Close()
	emails, err := emailsOf(v)
	if err != nil {
		return err
	}
	for _, e := range spread(emails, most) {
		if b.enough > 0 && b.n >= b.enough {
			break
		}
		if err := b.message(ctx, p, then, v, key, e.id); err != nil {
			return err
		}
	}
	return nil
}

// dated is a message with its INTERNALDATE.
type dated struct {
	id rookery.EmailID
	at int64
}

// emailsOf are the messages in mailboxes and those that can be recovered, by age.
func emailsOf(v *mailbox.View) (all []dated, err error) {
	boxes, err := v.Mailboxes()
	if err != nil {
		return nil, err
	}
	seen := map[rookery.EmailID]bool{}
	add := func(r mailbox.Row) bool {
		if !seen[r.Email] {
			seen[r.Email] = true
			all = append(all, dated{r.Email, r.InternalDate})
		}
		return true
	}
	for _, m := range boxes {
		if err := v.Rows(m.ID, 1, m.UIDNext, add); err != nil {
			return nil, err
		}
	}
	const page = 1000
	for after := (command.ExpungedID{}); ; {
		gone, err := v.Expunged(after, page)
		if err != nil {
			return nil, err
		}
		for _, x := range gone {
			add(x.Row)
			after = x.ExpungedID
		}
		if len(gone) < page {
			break
		}
	}
	slices.SortStableFunc(all, func(a, b dated) int { return cmp.Compare(a.at, b.at) })
	return all, nil
}

// spread picks most of them, from the oldest to the newest; 0 is all.
func spread(all []dated, most int) []dated {
	if most <= 0 || len(all) <= most {
		return all
	}
	picked := make([]dated, most)
	for i := range picked {
		picked[i] = all[i*(len(all)-1)/max(1, most-1)]
	}
	return picked
}

// message reads one from its first byte to its last, unless its body was read before.
func (b *bodies) message(ctx context.Context, p *point, then *past.Past, v *mailbox.View, key *keys.AccountKey, id rookery.EmailID) error {
	e, err := v.Email(id)
	if err != nil {
		return err
	}
	word, bit := uint64(e.Body)/64, uint64(1)<<(uint64(e.Body)%64)
	if b.read[word]&bit != 0 {
		return nil
	}
	b.n++
	x, err := v.Body(e.Body)
	if err == nil {
		err = b.verify(ctx, then, x, key, e)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		b.read[word] |= bit
		b.report.Messages++
		b.away = 0
		return b.progress(Progress{Group: b.id, Bodies: true, Done: b.n, Of: b.enough})
	case rookery.Is(err, rookery.KindDamaged), rookery.Is(err, rookery.KindNotFound), rookery.Is(err, rookery.KindInvalid):
		b.read[word] |= bit // it is told once
		b.away = 0
		return b.lost(p, then, x, e, err)
	}
	b.report.Unchecked++
	if b.away++; b.away >= awayInARow {
		return err
	}
	return nil
}

// lost tells of a message that cannot be read.
func (b *bodies) lost(p *point, then *past.Past, x mailbox.Body, e mailbox.Email, why error) error {
	f := Finding{Group: b.id, Key: p.image.Key(), Fault: Damaged, Detail: why.Error(), Account: then.Account(), Email: e.ID,
		At: time.Unix(0, p.at), Mend: "the message comes back without its content; find another time whose body is good, or bring the " +
			"object back from a version or a replica of the backup store"}
	if in, ok := then.InPack(x); ok {
		f.Key = pack.Key(b.id, in.Pack)
		f.Mend = "rookery storage check -all -repair; where no good copy is left, bring the object back from a version or a replica of the " +
			"object store"
	}
	if rookery.Is(why, rookery.KindNotFound) {
		f.Fault = Missing
	}
	return b.found(f)
}

// verify decrypts a message and compares it with its digest and its length.
func (b *bodies) verify(ctx context.Context, then *past.Past, x mailbox.Body, key *keys.AccountKey, e mailbox.Email) error {
	own, err := key.UnwrapMessage(e.ID, e.Key)
	if err != nil {
		return err
	}
	var layout body.Layout
	if err := layout.UnmarshalBinary(x.Layout); err != nil {
		return err
	}
	r := body.NewReader(layout, own, body.Only(func(ctx context.Context, buf []byte, off int64) error {
		return then.ReadBody(ctx, b.o.Live, x, buf, off)
	}))
	defer r.Close()
	if r.Size() != x.Size || r.Size() != e.Size {
		return differs("it has %d bytes, and its record says %d", r.Size(), e.Size)
	}
	return r.Verify(ctx)
}
