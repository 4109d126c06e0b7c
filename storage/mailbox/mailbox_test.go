package mailbox

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

// fixture is one group's machine over a real state store in memory.
type fixture struct {
	t     testing.TB
	fs    *vfs.MemFS
	store *state.Store
	group *state.Group
	m     *Machine
	index rookery.LogIndex
	seq   uint64
	epoch uint64
	clock int64 // unix nanoseconds
	last  []byte
	woken map[boxKey]rookery.ModSeq
	prep  func(*Machine)
	join  func() *tables.Parts[*work]
	log   [][]byte // every entry applied, from index 1
}

func (f *fixture) Changed(a rookery.AccountID, m rookery.MailboxID, s rookery.ModSeq) {
	f.woken[boxKey{a, m}] = s
}
func (f *fixture) Unpacked(BodyID, int64) {}

func openFixture(t testing.TB) *fixture {
	f := &fixture{t: t, fs: vfs.NewMem(), epoch: 1, join: join, clock: 1_700_000_000e9, woken: map[boxKey]rookery.ModSeq{}}
	f.open("state")
	t.Cleanup(func() { f.store.Close() })
	return f
}

func (f *fixture) open(dir string) {
	f.t.Helper()
	s, err := state.Open(dir, f.fs, state.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), MemTableBytes: 8 << 20,
		CacheBytes: 64 << 20})
	if err != nil {
		f.t.Fatal(err)
	}
	f.store = s
	if f.group, err = s.Group(2, f.machine); err != nil {
		f.t.Fatal(err)
	}
	if f.prep != nil {
		f.prep(f.m)
	}
}

func (f *fixture) machine(g *state.Group) state.Machine {
	f.m = newMachine(g, f, f.join())
	if _, bench := f.t.(*testing.B); bench {
		return f.m
	}
	return watched{f.m, f.t}
}

// watched is a machine whose every row is checked as it is written.
type watched struct {
	*Machine
	t testing.TB
}

func (w watched) Apply(tx state.Tx, entry []byte) []byte {
	return w.Machine.Apply(watchedTx{tx, w}, entry)
}

type watchedTx struct {
	state.Tx
	w watched
}

func (x watchedTx) Set(k, v []byte) error {
	if err := x.w.parts.CheckRow(k, v); err != nil {
		x.w.t.Error(err)
	}
	return x.Tx.Set(k, v)
}

func (x watchedTx) Delete(k []byte) error {
	if x.w.parts.Of(k) == nil {
		x.w.t.Errorf("deleted %x, which is in no table", k)
	}
	return x.Tx.Delete(k)
}

// apply runs a command and gives its result.
func (f *fixture) apply(c command.Command) (command.Result, error) {
	f.t.Helper()
	out := f.raw(command.Encode(c))
	if err := state.ResultError("apply", out); err != nil {
		return nil, err
	}
	r, err := command.DecodeResult(command.TypeOf(c), state.DecodeResult(out).Value)
	if err != nil {
		f.t.Fatal(err)
	}
	return r, nil
}

func (f *fixture) raw(cmd []byte) []byte {
	f.seq++
	f.clock += 1e6
	f.last = state.Wrap(state.Header{Node: "n1", Epoch: f.epoch, Seq: f.seq, Low: f.seq, Time: f.clock}, cmd)
	return bytes.Clone(f.entry(f.last))
}

func (f *fixture) entry(data []byte) []byte {
	f.index++
	f.log = append(f.log, data)
	return f.group.Apply([]rookery.Entry{{Index: f.index, Term: 1, Data: data}})[0]
}

// again sends the last command a second time, as a retry would.
func (f *fixture) again() []byte { return f.entry(f.last) }

// do is apply of what must succeed.
func do[R command.Result](f *fixture, c command.Command) R {
	f.t.Helper()
	r, err := f.apply(c)
	if err != nil {
		f.t.Fatalf("%T: %v", c, err)
	}
	return r.(R)
}

// purge has every account purged that has something to purge, once.
func (f *fixture) purge(before int64) (some bool) {
	f.t.Helper()
	ids, err := f.m.Purgeable(before, rookery.AccountID{}, 100)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, id := range ids {
		do[*command.PurgeResult](f, &command.PurgeExpunged{Account: id, Before: before})
	}
	return len(ids) > 0
}

func (f *fixture) refused(kind rookery.Kind, c command.Command) {
	f.t.Helper()
	if _, err := f.apply(c); !rookery.Is(err, kind) {
		f.t.Errorf("%T %+v: %v, want %s", c, c, err, kind)
	}
}

func (f *fixture) view(a rookery.AccountID) *View {
	f.t.Helper()
	v, err := f.m.View(a)
	if err != nil {
		f.t.Fatal(err)
	}
	return v
}

func (f *fixture) restore() {
	f.t.Helper()
	s, err := f.group.Snapshot()
	if err != nil {
		f.t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := s.WriteTo(&b); err != nil {
		f.t.Fatal(err)
	}
	s.Close()
	if err := f.group.Restore(&b); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) reopen() {
	f.t.Helper()
	if err := f.store.Close(); err != nil {
		f.t.Fatal(err)
	}
	f.open("state")
}

func accountID(n int) rookery.AccountID { return rookery.AccountID{0xac, byte(n >> 8), byte(n)} }

func emailID(n int) rookery.EmailID {
	return rookery.EmailID{0xee, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// newAccount opens a fixture with one account.
func newAccount(t testing.TB, quota int64) (*fixture, rookery.AccountID) {
	f := openFixture(t)
	a := accountID(1)
	do[*command.AccountResult](f, &command.CreateAccount{Account: a, Key: []byte("wrapped"), Quota: quota,
		Roles: command.DefaultRoles(), Validity: 1000})
	return f, a
}

func (f *fixture) deliver(a rookery.AccountID, n int, mod ...func(*command.Deliver)) command.Filed {
	f.t.Helper()
	c := &command.Deliver{Email: emailID(n), Size: 100, Layout: []byte("layout"), Extract: []byte("extract"),
		Payload:    []byte(fmt.Sprintf("body %d", n)),
		Deliveries: []command.Delivery{{Account: a, WrappedKey: []byte("key")}}}
	for _, m := range mod {
		m(c)
	}
	return do[*command.DeliverResult](f, c).Filed[0]
}

func (f *fixture) byName(a rookery.AccountID, name string) Mailbox {
	f.t.Helper()
	v := f.view(a)
	defer v.Close()
	m, err := v.ByName(name)
	if err != nil {
		f.t.Fatal(err)
	}
	return m
}

func (f *fixture) mailbox(a rookery.AccountID, id rookery.MailboxID) Mailbox {
	f.t.Helper()
	v := f.view(a)
	defer v.Close()
	m, err := v.Mailbox(id)
	if err != nil {
		f.t.Fatal(err)
	}
	return m
}

func (f *fixture) names(a rookery.AccountID) (names []string) {
	f.t.Helper()
	v := f.view(a)
	defer v.Close()
	all, err := v.Mailboxes()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, m := range all {
		names = append(names, m.Name)
	}
	return names
}

func (f *fixture) rows(a rookery.AccountID, m rookery.MailboxID) (rows []Row) {
	f.t.Helper()
	v := f.view(a)
	defer v.Close()
	if err := v.Rows(m, 1, 0xffffffff, func(r Row) bool { rows = append(rows, r); return true }); err != nil {
		f.t.Fatal(err)
	}
	return rows
}

// tables counts the rows of every table of the machine.
func (f *fixture) tables() map[byte]int {
	f.t.Helper()
	s := f.group.Read()
	defer s.Close()
	n := map[byte]int{}
	err := s.Scan([]byte{tableAccount}, nil, func(k, _ []byte) (bool, error) {
		n[k[0]]++
		return true, nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

// dump is every row of the group, to compare replicas with.
func (f *fixture) dump() map[string]string {
	f.t.Helper()
	s := f.group.Read()
	defer s.Close()
	rows := map[string]string{}
	err := s.Scan([]byte{tableAccount}, nil, func(k, v []byte) (bool, error) {
		rows[string(k)] = string(v)
		return true, nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return rows
}

// Every command of a mail group has its code here, and no other command has.
func TestEveryCommandIsHandled(t *testing.T) {
	m := openFixture(t).m
	for _, r := range command.Rows() {
		if m.parts.Handles(r.Type) != r.Applies(command.Mail) {
			t.Errorf("command %s is handled: %v", r.Name, m.parts.Handles(r.Type))
		}
	}
}
