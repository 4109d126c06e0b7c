package past

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/backup/archive"
	rlog "rookery/cluster/log"
	"rookery/storage/blob"
	"rookery/storage/blob/dir"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/state"
	"rookery/storage/uidset"
)

const testGroup = rookery.GroupID(2)

// fixedKeys are an archive's keys.
type fixedKeys [32]byte

func (k *fixedKeys) Current(context.Context) (uint32, []byte, error) { return 1, k[:], nil }
func (k *fixedKeys) Key(context.Context, uint32) ([]byte, error)     { return k[:], nil }

// world is a group that serves, its log, and its archive.
type world struct {
	t        *testing.T
	rng      *rand.Rand
	group    *state.Group
	machine  *mailbox.Machine
	log      []rookery.Entry
	archiver *archive.Archiver
	archive  *Archive
	live     blob.Store
	ids      []rookery.AccountID
	bodies   map[rookery.EmailID][]byte
	seq      uint64
	stage    uint64
	clock    int64
	now      time.Time
	lost     rookery.LogIndex // entries up to it are in nobody's log
	fault    func() error     // of what is proposed by the archiver
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 7)), bodies: map[rookery.EmailID][]byte{}, clock: 1_700_000_000e9,
		now: time.Unix(1_700_000_000, 0),
	}
	store, err := state.Open("state", vfs.NewMem(), state.Options{MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	w.must(err)
	t.Cleanup(func() { store.Close() })
	w.group, err = store.Group(testGroup, func(g *state.Group) state.Machine {
		w.machine = mailbox.New(nil)(g)
		return w.machine
	})
	w.must(err)
	back, err := dir.Open(t.TempDir())
	w.must(err)
	w.live, err = dir.Open(t.TempDir())
	w.must(err)
	w.archive = &Archive{Cluster: "c1", Store: back, Keys: new(fixedKeys)}
	w.newArchiver()
	for n := range 3 {
		id := rookery.AccountID{byte(n + 1)}
		w.ids = append(w.ids, id)
		w.do(&command.CreateAccount{Account: id, Key: []byte("\x01\x00\x00\x00\x01wrapped account key of a test"),
			Roles: command.DefaultRoles(), Validity: 1000})
	}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// newArchiver is a new leader's.
func (w *world) newArchiver() {
	w.archiver = archive.New(archive.Options{
		Cluster: "c1", Group: testGroup, State: w.group, Bodies: w.machine.Body, Store: w.archive.Store, Keys: w.archive.Keys,
		Clock: func() time.Time { return w.now },
		Read: func(_ context.Context, r rlog.Range, each func(rlog.Entry) error) error {
			for i := r.From; i <= r.To; i++ {
				if i <= w.lost {
					return rookery.E("read log", rookery.KindNotFound, fmt.Errorf("entry %d is gone", i))
				}
				e := w.log[i-1]
				if err := each(rlog.Entry{Index: e.Index, Term: e.Term, Data: e.Data}); err != nil {
					return err
				}
			}
			return nil
		},
		ReadLog: func(_ context.Context, i rookery.LogIndex, _ uint64, p []byte, off int64) error {
			copy(p, w.log[i-1].Data[off:])
			return nil
		},
		Propose: func(_ context.Context, c command.Command) error {
			if w.fault != nil {
				if err := w.fault(); err != nil {
					return err
				}
			}
			_, err := w.try(c)
			return err
		},
	})
}

func (w *world) entry(data []byte) []byte {
	e := rookery.Entry{Index: rookery.LogIndex(len(w.log) + 1), Term: 1, Data: data}
	w.log = append(w.log, e)
	return w.group.Apply([]rookery.Entry{e})[0]
}

func (w *world) try(c command.Command) (command.Result, error) {
	w.seq++
	w.clock += 1 + w.rng.Int64N(3e8)
	out := w.entry(state.Wrap(state.Header{Node: "n1", Epoch: 1, Seq: w.seq, Low: w.seq, Time: w.clock}, command.Encode(c)))
	if err := state.ResultError("apply", out); err != nil {
		return nil, err
	}
	return command.DecodeResult(command.TypeOf(c), state.DecodeResult(out).Value)
}

// do tries a command that may be refused.
func (w *world) do(c command.Command) command.Result {
	r, err := w.try(c)
	if err != nil && rookery.Is(err, rookery.KindDamaged) {
		w.t.Fatal(err)
	}
	return r
}

// step does what users and the node do.
func (w *world) step() {
	id := w.ids[w.rng.IntN(len(w.ids))]
	boxes := w.mailboxes(id)
	if len(boxes) == 0 {
		return
	}
	a, b := boxes[w.rng.IntN(len(boxes))], boxes[w.rng.IntN(len(boxes))]
	uids := uidset.Range(1, rookery.UID(1+w.rng.IntN(8)))
	name := func() string { return []string{"Projects", "Projects/A", "Old", "Zürich"}[w.rng.IntN(4)] }
	switch w.rng.IntN(14) {
	case 0, 1, 2, 3:
		w.deliver(id, a.ID)
	case 4:
		w.do(&command.StoreFlags{Account: id, Mailbox: a.ID, UIDs: uids, Mode: command.StoreMode(1 + w.rng.IntN(2)),
			Flags: command.FlagSeen | command.FlagDeleted, Keywords: []string{"$Label1"}})
	case 5:
		w.do(&command.Expunge{Account: id, Mailbox: a.ID, UIDs: uids, Force: true})
	case 6:
		w.do(&command.Copy{Account: id, From: a.ID, UIDs: uids, To: b.ID})
	case 7:
		w.do(&command.Move{Account: id, From: a.ID, UIDs: uids, To: b.ID})
	case 8:
		w.do(&command.CreateMailbox{Account: id, Name: name(), Validity: 2000})
	case 9:
		w.do(&command.RenameMailbox{Account: id, From: a.Name, To: name(), Validity: 2000})
	case 10:
		w.do(&command.DeleteMailbox{Account: id, Name: name()})
	case 11:
		w.do(&command.Subscribe{Account: id, Name: name(), On: w.rng.IntN(2) == 0})
	case 12:
		w.do(&command.PurgeExpunged{Account: id, Before: w.clock - 20e9})
	case 13:
		w.pack()
	}
}

func (w *world) mailboxes(id rookery.AccountID) []mailbox.Mailbox {
	v, err := w.machine.View(id)
	if err != nil {
		return nil
	}
	defer v.Close()
	all, err := v.Mailboxes()
	w.must(err)
	return all
}

// deliver files a message, to one account or to all, whole or in chunks.
func (w *world) deliver(id rookery.AccountID, box rookery.MailboxID) {
	email := rookery.EmailID{1: byte(len(w.bodies)), 2: byte(len(w.bodies) >> 8), 15: 1}
	content := make([]byte, 1+w.rng.IntN(900))
	for i := range content {
		content[i] = byte(w.rng.Uint32())
	}
	w.bodies[email] = content
	c := &command.Deliver{Email: email, Size: int64(len(content)), Extract: []byte("extract " + email.String()),
		Layout: []byte("layout"), Payload: content}
	for _, to := range w.ids {
		if to == id || w.rng.IntN(3) == 0 {
			d := command.Delivery{Account: to, WrappedKey: []byte{to[0]}, InternalDate: 1000 + w.rng.Int64N(1000),
				Threads: [][8]byte{{byte(w.rng.IntN(4))}}}
			if to == id {
				d.Mailbox = box
			}
			c.Deliveries = append(c.Deliveries, d)
		}
	}
	if w.rng.IntN(3) == 0 {
		w.stage++
		s := command.StageID{Node: "n1", Epoch: 1, N: w.stage}
		half := len(content) / 2
		for part, p := range [][]byte{content[:half], content[half:]} {
			if len(p) == 0 {
				return
			}
			w.do(&command.Stage{Stage: s, Part: uint32(part), Payload: p})
			w.maybeArchive()
		}
		c.Staged, c.Payload = &command.Staged{Stage: s, Parts: 2}, nil
	}
	w.do(c)
}

// pack moves what lies in the log into an object.
func (w *world) pack() {
	some, err := w.machine.Unpacked(0, 1+w.rng.IntN(20))
	w.must(err)
	if len(some) == 0 {
		return
	}
	id := pack.NewID(w.now.Add(time.Duration(w.seq) * time.Second))
	object := []byte("some header")
	c := &command.Packed{Pack: id}
	for _, b := range some {
		at := int64(len(object))
		for _, p := range b.Log {
			object = append(object, w.log[p.Index-1].Data[p.Off:p.Off+p.Len]...)
		}
		c.Bodies = append(c.Bodies, command.PackedBody{Body: b.ID, Off: at, Len: int64(len(object)) - at})
	}
	c.Size = int64(len(object))
	w.must(w.live.Put(context.Background(), pack.Key(testGroup, id), bytes.NewReader(object), c.Size, blob.PutOptions{}))
	w.do(c)
}

// maybeArchive lets time pass, and the archiver work.
func (w *world) maybeArchive() {
	w.now = w.now.Add(time.Duration(w.rng.IntN(3000)) * time.Millisecond)
	if w.rng.IntN(3) > 0 {
		return
	}
	if w.rng.IntN(30) == 0 {
		w.newArchiver()
	}
	w.archived(false)
}

func (w *world) archived(now bool) {
	reason := ""
	if w.rng.IntN(40) == 0 {
		reason = "it is night"
	}
	if err := w.archiver.Step(context.Background(), now, func(time.Time) string { return reason }); err != nil && w.fault == nil {
		w.t.Fatal(err)
	}
}

// seen is what an account looks like: everything that a client or an operator can
// tell of it. body gives what a message's body reads as.
func seen(v *mailbox.View, body func(mailbox.Email) string) (string, error) {
	var out strings.Builder
	all, err := v.Mailboxes()
	if err != nil {
		return "", err
	}
	for _, m := range all {
		fmt.Fprintf(&out, "%+v\n", m)
		if err := v.Rows(m.ID, 1, m.UIDNext, func(r mailbox.Row) bool {
			e, err := v.Email(r.Email)
			if err != nil {
				fmt.Fprintf(&out, "  %v\n", err)
				return true
			}
			fmt.Fprintf(&out, "  %+v key %x extract %s thread %s body %s\n", r, e.Key, e.Extract, e.Thread, body(e))
			return true
		}); err != nil {
			return "", err
		}
	}
	names, err := v.Subscriptions()
	if err != nil {
		return "", err
	}
	gone, err := v.Expunged(command.ExpungedID{}, 10000)
	fmt.Fprintf(&out, "%v\n%+v\n", names, gone)
	return out.String(), err
}

func digest(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b))[:16] }

// liveNow is what an account looks like now.
func (w *world) liveNow(id rookery.AccountID) string {
	v, err := w.machine.View(id)
	w.must(err)
	defer v.Close()
	s, err := seen(v, func(e mailbox.Email) string { return digest(w.bodies[e.ID]) })
	w.must(err)
	return s
}

// then is what it looked like, by the archive.
func (w *world) then(id rookery.AccountID, at int64) (string, error) {
	p, err := Open(context.Background(), Options{Archive: w.archive, Dir: w.t.TempDir(), Group: testGroup, Account: id, At: at})
	if err != nil {
		return "", err
	}
	defer p.Close()
	v, err := p.View()
	if err != nil {
		return "", err
	}
	defer v.Close()
	return seen(v, func(e mailbox.Email) string {
		b, err := v.Body(e.Body)
		if err != nil {
			return err.Error()
		}
		content := make([]byte, b.Encoded)
		if err := p.ReadBody(context.Background(), w.live, b, content, 0); err != nil {
			return err.Error()
		}
		return digest(content)
	})
}
