package archive

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"time"

	"rookery"
	"rookery/backup/sealed"
	rlog "rookery/cluster/log"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/state"
)

// Options are what an Archiver is made of. All but Bodies, Logger and Clock are
// required.
type Options struct {
	// Cluster is the cluster's id.
	Cluster string
	Group   rookery.GroupID
	// State is the group's state on this node.
	State *state.Group
	// Bodies tells where a body lies. nil: the group has none.
	Bodies func(mailbox.BodyID) (mailbox.Body, error)
	// Read hands on committed entries, from this node's log or another's.
	// KindNotFound: nobody has them.
	Read func(ctx context.Context, r rlog.Range, each func(rlog.Entry) error) error
	// ReadLog fills p with bytes of a log entry's data from off.
	ReadLog func(ctx context.Context, index rookery.LogIndex, term uint64, p []byte, off int64) error
	Store   blob.Store
	Keys    sealed.Keys
	// Propose has the group agree on a command, and returns when it is applied here.
	Propose func(ctx context.Context, c command.Command) error
	// Leads makes sure that this node leads the group, and has applied what was decided
	// before it was asked; nil: nobody else can.
	Leads  func(ctx context.Context) error
	Logger *slog.Logger
	// Clock measures how old entries are on this node; it is never compared with
	// group time.
	Clock func() time.Time
}

// Settled is how long an entry waits for its body to be packed before it is
// archived, Every how far apart segments are at least, and Idle how long what
// concerns no account may wait.
const (
	Settled = 5 * time.Second
	Every   = 4 * time.Second
	Idle    = time.Minute
)

// maxSegment bounds what is put into one segment, before compression.
const maxSegment = 8 << 20

// Archiver archives one group while this node leads it. It is for one goroutine. If
// another node archives the same group at the same time, both write what is true:
// readers take each entry once.
type Archiver struct {
	o     Options
	marks []mark // when which entries had been applied here, the oldest first
	last  time.Time
	asked time.Time // when Leads was last asked
	until time.Time // nothing of before is later than the last entry that settled
	made  time.Time // when the newest image was, on this node's clock
	state Position
}

// mark is the last entry that was applied here at a moment; sure says that no other had
// been decided then.
type mark struct {
	at    time.Time
	index rookery.LogIndex
	sure  bool
}

// Position is how far a group's archive is.
type Position struct {
	Group rookery.GroupID
	// Upto is the last entry that the archive has, Time its group time, unix
	// nanoseconds: that of an entry archived by this Archiver, or of the image.
	Upto rookery.LogIndex
	Time int64
	// Complete is a group time up to which the archive has everything that concerns an
	// account: what is decided later has a later time. 0 until that is known.
	Complete int64
	// Pending counts the entries that wait, Since is the group time of the oldest.
	Pending uint64
	Since   int64
	// Image is the newest image; zero where there is none.
	Image ImageInfo
	// Made is when that was, on this node's clock, as far as it knows: the group time of
	// an idle group stands still.
	Made time.Time
	// Gap is that of the newest image.
	Gap *Gap
	// Segments and Bytes count what this Archiver has written.
	Segments uint64
	Bytes    int64
}

// New makes an Archiver. It does no I/O.
func New(o Options) *Archiver {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	return &Archiver{o: o, state: Position{Group: o.Group}}
}

// Position is how far it was after the last Step.
func (a *Archiver) Position() Position {
	p := a.state
	p.Made = a.made
	return p
}

// Step archives what is old enough, and makes an image where there is none or where
// due says so; now also archives what is young. It returns when the archive has it.
// due is told when the newest was made. To be called about every second.
func (a *Archiver) Step(ctx context.Context, now bool, due func(last time.Time) (reason string)) error {
	begun, sure := a.o.Clock(), a.sure(ctx, now)
	snap := a.o.State.Read()
	defer func() { snap.Close() }()
	upto, on, err := snap.Archived()
	if err != nil {
		return err
	}
	if !on {
		if err := a.o.Propose(ctx, &command.Archived{}); err != nil {
			return err
		}
		snap.Close()
		snap = a.o.State.Read()
		if upto, on, err = snap.Archived(); err != nil || !on {
			return err
		}
	}
	applied, _, err := snap.Applied()
	if err != nil {
		return err
	}
	last := a.settled(mark{begun, applied, sure}, now)
	if upto > 0 { // before the store is asked: what waits is known also while it does not answer
		if err := a.waiting(snap, upto, last); err != nil {
			return err
		}
	}
	broken, err := a.find(ctx, upto)
	if err != nil {
		return err
	}
	reason := due(a.made)
	if a.state.Image.Index == 0 {
		reason = "there is none"
	} else if broken {
		reason = "nothing leads from the newest one to the entries that come"
	}
	if reason != "" {
		if upto, err = a.image(ctx, snap, upto, reason, nil); err != nil {
			return err
		}
	}
	a.state.Upto = upto
	return a.segments(ctx, snap, upto, last, now)
}

// ahead is how far group time may run ahead of a leader's clock.
const ahead = time.Second

// sure makes sure now and then that this node leads the group, and that everything
// decided until now is applied here. Where it cannot, the archive goes on without
// vouching for anything.
func (a *Archiver) sure(ctx context.Context, now bool) bool {
	if !now && a.o.Clock().Sub(a.asked) < Every {
		return false
	}
	a.asked = a.o.Clock()
	return a.o.Leads == nil || a.o.Leads(ctx) == nil
}

// find learns once which image is the newest; broken says that the segments behind it
// do not reach upto, from where on there will be others.
func (a *Archiver) find(ctx context.Context, upto rookery.LogIndex) (broken bool, err error) {
	if a.state.Image.Index != 0 {
		return false, nil
	}
	all, err := Images(ctx, a.o.Store, a.o.Group)
	if err != nil || len(all) == 0 {
		return false, err
	}
	image := all[len(all)-1]
	have := image.Index
	if have < upto {
		segments, err := Segments(ctx, a.o.Store, a.o.Group)
		if err != nil {
			return false, err
		}
		for _, s := range segments {
			if s.First <= have+1 {
				have = max(have, s.Last)
			}
		}
	}
	a.state.Image = image
	a.made = time.Unix(0, image.Time) // or later: the time of an idle group stands still
	a.state.Time = max(a.state.Time, image.Time)
	return have < upto, nil
}

// settled is the last entry that was applied here for long enough. It remembers until
// when nothing later had been, where that is sure.
func (a *Archiver) settled(m mark, now bool) rookery.LogIndex {
	if now {
		if m.sure {
			a.until = m.at
		}
		return m.index
	}
	if n := len(a.marks); n == 0 || a.marks[n-1].index < m.index || m.sure {
		a.marks = append(a.marks, m)
	}
	var upto rookery.LogIndex
	for len(a.marks) > 0 && m.at.Sub(a.marks[0].at) >= Settled {
		upto = a.marks[0].index
		if a.marks[0].sure {
			a.until = a.marks[0].at
		}
		if len(a.marks) == 1 {
			break // it stays: what comes is told from it
		}
		a.marks = a.marks[1:]
	}
	return upto
}

// vouch notes that the archive has all that was decided until a moment that is sure.
func (a *Archiver) vouch() {
	if !a.until.IsZero() {
		a.state.Complete = max(a.state.Complete, a.until.Add(-ahead).UnixNano())
	}
}

// waiting counts the entries from behind upto to last, and finds the oldest.
func (a *Archiver) waiting(snap *state.Snap, upto, last rookery.LogIndex) error {
	a.state.Pending, a.state.Since = 0, 0
	return snap.Verdicts(upto+1, last+1, func(v state.Verdict) bool {
		if a.state.Pending++; a.state.Since == 0 {
			a.state.Since = v.Time
		}
		return true
	})
}

// segments writes what was decided on the entries from behind upto to last.
func (a *Archiver) segments(ctx context.Context, snap *state.Snap, upto, last rookery.LogIndex, now bool) error {
	if err := a.waiting(snap, upto, last); err != nil {
		return err
	}
	if a.state.Pending == 0 {
		a.vouch()
		return nil
	}
	if !now && a.o.Clock().Sub(a.last) < Every {
		return nil
	}
	for upto < last {
		s := &segment{a: a, info: SegmentInfo{Group: a.o.Group, First: upto + 1, Last: last}}
		err := s.collect(ctx, snap)
		if rookery.Is(err, rookery.KindNotFound) {
			return a.gap(ctx, snap, upto, err)
		}
		if err != nil {
			return err
		}
		if s.idle() && !now && a.o.Clock().Sub(a.last) < Idle {
			break
		}
		if err := s.write(ctx); err != nil {
			return err
		}
		upto = s.info.Last
		if err := a.o.Propose(ctx, &command.Archived{Upto: upto}); err != nil {
			return err
		}
		a.state.Upto, a.state.Pending, a.state.Since, a.last = upto, 0, 0, a.o.Clock()
		a.state.Time = max(a.state.Time, s.info.To)
	}
	a.vouch()
	return nil
}

// gap goes on behind what nobody has any more, with an image.
func (a *Archiver) gap(ctx context.Context, snap *state.Snap, upto rookery.LogIndex, why error) error {
	a.o.Logger.Error("a part of the log was gone before it was archived: that span of time cannot be restored", "group", a.o.Group,
		"from", time.Unix(0, a.state.Time).UTC(), "error", why)
	_, err := a.image(ctx, snap, upto, "a gap", &Gap{From: a.state.Time, Reason: why.Error()})
	return err
}

// put stores an object.
func (a *Archiver) put(ctx context.Context, name string, object []byte) error {
	if err := a.o.Store.Put(ctx, name, bytes.NewReader(object), int64(len(object)), blob.PutOptions{}); err != nil {
		return rookery.E("write "+name, 0, err)
	}
	a.state.Bytes += int64(len(object))
	return nil
}

func (p *Position) String() string { return fmt.Sprintf("group %d up to entry %d", p.Group, p.Upto) }
