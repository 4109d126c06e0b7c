package verify

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/backup/archive"
	"rookery/backup/past"
	"rookery/backup/retention"
	rlog "rookery/cluster/log"
	"rookery/storage/blob"
	"rookery/storage/blob/dir"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/state"
)

// fixedKeys are an archive's keys; version 2 is unknown.
type fixedKeys [32]byte

func (k *fixedKeys) Current(context.Context) (uint32, []byte, error) { return 1, k[:], nil }
func (k *fixedKeys) Key(_ context.Context, v uint32) ([]byte, error) {
	if v != 1 {
		return nil, rookery.E("find key", rookery.KindNotFound, fmt.Errorf("version %d", v))
	}
	return k[:], nil
}

// world is a group, its log, and its archive.
type world struct {
	t        *testing.T
	id       rookery.GroupID
	group    *state.Group
	machine  *mailbox.Machine
	log      []rookery.Entry
	archiver *archive.Archiver
	archive  *past.Archive
	seq      uint64
	clock    int64
	now      time.Time
	lost     rookery.LogIndex
	fault    error // of what the archiver proposes
}

var begun = time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)

func newWorld(t *testing.T) *world { return newWorldIn(t, openStore(t), "c1", 2) }

func openStore(t *testing.T) blob.Store {
	t.Helper()
	s, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newWorldIn(t *testing.T, back blob.Store, cluster string, id rookery.GroupID) *world {
	w := &world{t: t, id: id, clock: begun.UnixNano(), now: begun}
	store, err := state.Open("state", vfs.NewMem(), state.Options{MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	w.must(err)
	t.Cleanup(func() { store.Close() })
	w.group, err = store.Group(id, func(g *state.Group) state.Machine {
		w.machine = mailbox.New(nil)(g)
		return w.machine
	})
	w.must(err)
	w.archive = &past.Archive{Cluster: cluster, Store: back, Keys: new(fixedKeys)}
	w.newArchiver()
	for n := range 3 {
		w.do(&command.CreateAccount{Account: rookery.AccountID{byte(n + 1)}, Key: []byte("\x01\x00\x00\x00\x01wrapped account key of a test"),
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

func (w *world) newArchiver() {
	w.archiver = archive.New(archive.Options{
		Cluster: w.archive.Cluster, Group: w.id, State: w.group, Bodies: w.machine.Body, Store: w.archive.Store, Keys: w.archive.Keys,
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
				return w.fault
			}
			w.do(c)
			return nil
		},
	})
}

func (w *world) do(c command.Command) {
	w.t.Helper()
	w.seq++
	w.clock += 1e9
	w.now = time.Unix(0, w.clock)
	h := state.Header{Node: "n1", Epoch: 1, Seq: w.seq, Low: w.seq, Time: w.clock}
	e := rookery.Entry{Index: rookery.LogIndex(len(w.log) + 1), Term: 1, Data: state.Wrap(h, command.Encode(c))}
	w.log = append(w.log, e)
	w.must(state.ResultError("apply", w.group.Apply([]rookery.Entry{e})[0]))
}

// deliver files a message whose body nothing reads.
func (w *world) deliver() {
	w.t.Helper()
	content := bytes.Repeat([]byte{byte(w.seq)}, 300)
	w.do(&command.Deliver{Email: rookery.EmailID{1: byte(w.seq), 2: byte(w.seq >> 8), 15: 1}, Size: 300, Extract: []byte("extract"),
		Layout: []byte("layout"), Payload: content, Deliveries: []command.Delivery{{Account: rookery.AccountID{1}, WrappedKey: []byte{1},
			InternalDate: 1000, Threads: [][8]byte{{1}}, Mailbox: 1}}})
}

// archived archives up to now, with an image where image says so.
func (w *world) archived(image bool) {
	w.t.Helper()
	err := w.archiver.Step(context.Background(), true, func(time.Time) string {
		if image {
			return "it is night"
		}
		return ""
	})
	if w.fault == nil {
		w.must(err)
	}
}

// history is an archive with three images and segments around them.
func (w *world) history() {
	w.t.Helper()
	for n := range 9 {
		w.deliver()
		w.archived(n == 3 || n == 6)
	}
}

func (w *world) images() []archive.ImageInfo {
	all, err := archive.Images(w.t.Context(), w.archive.Store, w.id)
	w.must(err)
	return all
}

func (w *world) segments() []archive.SegmentInfo {
	all, err := archive.Segments(w.t.Context(), w.archive.Store, w.id)
	w.must(err)
	return all
}

func (w *world) object(key string) []byte {
	w.t.Helper()
	in, err := w.archive.Store.Get(w.t.Context(), key, 0, -1)
	w.must(err)
	defer in.Close()
	b, err := io.ReadAll(in)
	w.must(err)
	return b
}

// replace puts an object in the place of another; nil only deletes.
func (w *world) replace(key string, b []byte) {
	w.t.Helper()
	w.must(w.archive.Store.Delete(w.t.Context(), key))
	if b != nil {
		w.must(w.archive.Store.Put(w.t.Context(), key, bytes.NewReader(b), int64(len(b)), blob.PutOptions{}))
	}
}

func (w *world) options() Options {
	return Options{Archive: w.archive, Groups: []rookery.GroupID{w.id}, Depth: Metadata, Beside: []string{"c/", "keys/", "gen/"},
		Rules: retention.Rules{Window: 30 * 24 * time.Hour, Daily: 30}, Now: func() (time.Time, error) { return w.now, nil }}
}

func (w *world) verify() ([]Finding, Report) {
	w.t.Helper()
	found, r, err := w.run(w.t.Context(), w.options())
	w.must(err)
	return found, r
}

func (w *world) run(ctx context.Context, o Options) (found []Finding, r Report, err error) {
	o.Found = func(f Finding) error { found = append(found, f); return nil }
	r, err = Run(ctx, o)
	return found, r, err
}

func flip(b []byte, at int) []byte {
	b = slices.Clone(b)
	b[at] ^= 1
	return b
}
