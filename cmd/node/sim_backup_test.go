package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/backup/past"
	"rookery/storage/account"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/uidset"
)

// flaky is a backup store that fails while it is told to: requests fail, or do what
// they say and give no answer.
type flaky struct {
	blob.Store
	fails *atomic.Int32 // of 10 requests
	n     atomic.Int32
}

func (f *flaky) Put(ctx context.Context, key string, r io.Reader, size int64, o blob.PutOptions) error {
	n := f.n.Add(7)
	if n%10 >= f.fails.Load() {
		return f.Store.Put(ctx, key, r, size, o)
	}
	if n%2 == 0 {
		if err := f.Store.Put(ctx, key, r, size, o); err != nil {
			return err
		}
	}
	return rookery.E("put", rookery.KindUnavailable, errors.New("503 SlowDown"))
}

// backupStorm is what happened in accounts while machines broke.
type backupStorm struct {
	*sim
	fails   atomic.Int32
	bodies  map[rookery.EmailID][32]byte
	moments []storedMoment
	acked   int
}

// storedMoment is what an account looked like at a time.
type storedMoment struct {
	person int
	at     time.Time
	seen   string
}

// TestSimRestoresInAStorm: while machines lose power, are cut off and start again, the
// backup store fails, and accounts move, things are done to accounts; afterwards each
// account is brought back as of many times, and is what it was then, bodies and all.
// ROOKERY_RESTORES sets how many, ROOKERY_SEED what breaks when.
func TestSimRestoresInAStorm(t *testing.T) {
	count, seed := number(t, "ROOKERY_RESTORES", 40), uint64(number(t, "ROOKERY_SEED", int(time.Now().UnixNano()&0x7fffffff)))
	t.Logf("%d restores, ROOKERY_SEED=%d", count, seed)
	s := &backupStorm{bodies: map[rookery.EmailID][32]byte{}}
	tune := func(o *tuning) { o.backup = func(b blob.Store) blob.Store { return &flaky{Store: b, fails: &s.fails} } }
	bubble(t, tune, func(c *sim) {
		c.rng = rand.New(rand.NewPCG(seed, 9))
		s.sim = c
		s.configure()
		kinds := []string{"power cut", "store away", "cut off", "restart", "move", "mute", "deaf", "all restart"}
		for round := 0; len(s.moments) < count || round < len(kinds); round++ {
			s.round(kinds[round%len(kinds)])
		}
		s.judge()
	})
}

func (s *backupStorm) configure() {
	set, _, err := s.nodes[0].settings.Read(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	set.Backup.Kind, set.Backup.Path = "dir", filepath.Join(s.store, "backup")
	set.Backup.Nightly = time.Now().UTC().Add(time.Minute).Format("15:04")
	s.put("backup.kind", set)
	s.until(time.Minute, "everything is archived", func() bool {
		_, err := s.nodes[0].backups.ArchiveNow(s.t.Context())
		return err == nil
	})
}

// round breaks one thing, has things done meanwhile and afterwards, and mends it.
func (s *backupStorm) round(kind string) {
	x := s.nodes[s.rng.IntN(len(s.nodes))]
	mend := func() {}
	switch kind {
	case "power cut":
		s.powerCut(x)
		mend = func() { s.on(x) }
	case "restart":
		s.off(x)
		mend = func() { s.on(x) }
	case "all restart":
		for _, x := range s.nodes {
			s.off(x)
			s.on(x)
		}
	case "cut off":
		s.part(x, true)
		mend = func() { s.part(x, false) }
	case "mute":
		s.mute(x, true)
		mend = func() { s.mute(x, false) }
	case "deaf":
		s.deafen(x, true)
		mend = func() { s.deafen(x, false) }
	case "store away":
		s.fails.Store(int32(4 + s.rng.IntN(7)))
		mend = func() { s.fails.Store(0) }
	case "move":
		s.beginMove(s.rng.IntN(testPeople))
		mend = s.movesEnd
	}
	for range 12 {
		s.act()
	}
	mend()
	s.catchesUp(x)
	for range 6 {
		s.act()
	}
	time.Sleep(time.Duration(s.rng.IntN(20)) * time.Second)
}

// act does one thing to one account on some machine, and looks at it now and then.
func (s *backupStorm) act() {
	time.Sleep(time.Duration(s.rng.IntN(1500)) * time.Millisecond)
	x := s.nodes[s.rng.IntN(len(s.nodes))]
	if x.Node == nil {
		return
	}
	person := s.rng.IntN(testPeople)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	a, err := x.accounts.Open(ctx, s.ledger.people[person].account)
	if err == nil {
		err = s.change(ctx, a)
	}
	if err != nil && !rookery.Is(err, rookery.KindNotFound) && !rookery.Is(err, rookery.KindExists) {
		return // it is in doubt, or refused for now: whatever comes of it comes later
	}
	s.acked++
	if s.rng.IntN(2) > 0 || a == nil || a.Sync(ctx) != nil {
		return
	}
	v, err := a.View()
	if err != nil {
		return
	}
	defer v.Close()
	seen, err := s.seen(v, func(e mailbox.Email) string { return fmt.Sprintf("%x", s.bodies[e.ID]) })
	if err != nil {
		s.t.Fatal(err)
	}
	// Whatever comes later has a later group time than the newest entry in the view.
	s.moments = append(s.moments, storedMoment{person, time.Unix(0, x.groups.Machine(v.Group()).Time()), seen})
}

// change is what a client does.
func (s *backupStorm) change(ctx context.Context, a *account.Account) (err error) {
	v, err := a.View()
	if err != nil {
		return err
	}
	boxes, err := v.Mailboxes()
	v.Close()
	if err != nil {
		return err
	}
	from, to := boxes[s.rng.IntN(len(boxes))], boxes[s.rng.IntN(len(boxes))]
	uids := uidset.Range(1, from.UIDNext)
	if n := s.rng.IntN(4); n > 0 {
		uids = uidset.Range(from.UIDNext-min(from.UIDNext-1, rookery.UID(n)), from.UIDNext)
	}
	names := []string{"Projects", "Projects/A", "Old", "Zürich"}
	name := names[s.rng.IntN(len(names))]
	switch s.rng.IntN(12) {
	case 0, 1, 2, 3, 4:
		err = s.deliver(ctx, a, from.ID)
	case 5:
		_, _, err = a.StoreFlags(ctx, command.StoreFlags{Mailbox: from.ID, UIDs: uids, Flags: command.FlagSeen, Keywords: []string{"$Label1"}})
	case 6:
		_, _, err = a.Expunge(ctx, command.Expunge{Mailbox: from.ID, UIDs: uids, Force: true})
	case 7:
		_, _, err = a.Copy(ctx, command.Copy{From: from.ID, UIDs: uids, To: to.ID})
	case 8:
		_, _, err = a.Move(ctx, command.Move{From: from.ID, UIDs: uids, To: to.ID})
	case 9:
		_, _, err = a.CreateMailbox(ctx, command.CreateMailbox{Name: name})
	case 10:
		_, err = a.RenameMailbox(ctx, command.RenameMailbox{From: from.Name, To: name})
	case 11:
		_, err = a.DeleteMailbox(ctx, command.DeleteMailbox{Name: name})
	}
	return err
}

// deliver files random bytes, as only the machine and the packers see them.
func (s *backupStorm) deliver(ctx context.Context, a *account.Account, box rookery.MailboxID) error {
	content := make([]byte, 1+s.rng.IntN(3000))
	for i := range content {
		content[i] = byte(s.rng.Uint32())
	}
	email := rookery.EmailID{15: 1}
	for i := range 12 {
		email[i] = byte(s.rng.Uint32())
	}
	s.bodies[email] = sha256.Sum256(content)
	_, _, err := a.Apply(ctx, &command.Deliver{Email: email, Size: int64(len(content)), Extract: []byte("x " + email.String()),
		Layout: []byte("layout"), Payload: content, Deliveries: []command.Delivery{{Account: a.ID(), Mailbox: box, WrappedKey: []byte("key"),
			Threads: [][8]byte{{byte(s.rng.IntN(5))}}}}})
	return err
}

// seen is all that a client or an operator can tell of an account.
func (s *backupStorm) seen(v *mailbox.View, body func(mailbox.Email) string) (string, error) {
	var out strings.Builder
	boxes, err := v.Mailboxes()
	if err != nil {
		return "", err
	}
	for _, m := range boxes {
		fmt.Fprintf(&out, "%+v\n", m)
		if err := v.Rows(m.ID, 1, m.UIDNext, func(r mailbox.Row) bool {
			e, err := v.Email(r.Email)
			fmt.Fprintf(&out, "  %+v key %s extract %s thread %s body %s %v\n", r, e.Key, e.Extract, e.Thread, body(e), err)
			return true
		}); err != nil {
			return "", err
		}
	}
	gone, err := v.Expunged(command.ExpungedID{}, 10000)
	fmt.Fprintf(&out, "%+v\n", gone)
	return out.String(), err
}

// judge brings everything back and compares.
func (s *backupStorm) judge() {
	s.until(10*time.Minute, "everything is archived", func() bool {
		_, err := s.nodes[0].backups.ArchiveNow(s.t.Context())
		return err == nil
	})
	l, err := s.nodes[0].backups.List(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for i, m := range s.moments {
		got, err := s.then(s.nodes[i%len(s.nodes)], m)
		if err != nil {
			s.t.Fatalf("person %d at %v: %v", m.person, m.at, err)
		}
		if got != m.seen {
			s.t.Fatalf("person %d at %v:\n%s", m.person, m.at, cmp.Diff(strings.Split(m.seen, "\n"), strings.Split(got, "\n")))
		}
	}
	s.t.Logf("%d restores and no difference, of %d changes; %d images, %d segments", len(s.moments), s.acked, len(l.Images), l.Segments)
	if len(l.Images) < 6 || !slices.ContainsFunc(s.moments, func(m storedMoment) bool { return strings.Contains(m.seen, "key key") }) {
		s.t.Error("the test proves little")
	}
}

// then is what an account looked like, by the archive.
func (s *backupStorm) then(x *simNode, m storedMoment) (string, error) {
	p, err := x.backups.Past(context.Background(), s.ledger.people[m.person].account, m.at)
	if err != nil {
		return "", err
	}
	defer p.Close()
	v, err := p.View()
	if err != nil {
		return "", err
	}
	defer v.Close()
	return s.seen(v, func(e mailbox.Email) string { return bodyThen(x, p, v, e) })
}

func bodyThen(x *simNode, p *past.Past, v *mailbox.View, e mailbox.Email) string {
	b, err := v.Body(e.Body)
	if err != nil {
		return err.Error()
	}
	content := make([]byte, b.Encoded)
	if err := p.ReadBody(context.Background(), x.objects.Store, b, content, 0); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x", sha256.Sum256(content))
}
