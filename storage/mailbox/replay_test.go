package mailbox

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
)

// archiveReader is who reads an archive for one account: what it takes of it, and at
// which time. The mutants are readers that are wrong.
type archiveReader struct {
	name    string
	takes   func(state.Verdict) bool
	at      func(state.Verdict, state.Header) int64
	touches func(command.Command, rookery.AccountID) bool
}

func rightReader() archiveReader {
	return archiveReader{
		name:    "right",
		takes:   func(v state.Verdict) bool { return v.Outcome == state.Executed },
		at:      func(v state.Verdict, _ state.Header) int64 { return v.Time },
		touches: func(c command.Command, id rookery.AccountID) bool { return c.Touches().Touches(id) },
	}
}

// wrongReaders each get one thing wrong that must be noticed.
func wrongReaders() []archiveReader {
	all := map[string]func(*archiveReader){
		"ignores verdicts":       func(r *archiveReader) { r.takes = func(state.Verdict) bool { return true } },
		"applies duplicates":     func(r *archiveReader) { r.takes = takesToo(state.Duplicate) },
		"applies what is fenced": func(r *archiveReader) { r.takes = takesToo(state.Fenced) },
		"ignores group time":     func(r *archiveReader) { r.at = func(_ state.Verdict, h state.Header) int64 { return h.Time } },
		"misses all but the first account": func(r *archiveReader) {
			r.touches = func(c command.Command, id rookery.AccountID) bool {
				t := c.Touches()
				return t.Touches(id) && (len(t.Accounts) == 0 || t.Accounts[0] == id)
			}
		},
		"misses purges":          misses(func(c command.Command) bool { _, is := c.(*command.PurgeExpunged); return is }),
		"misses jumps":           misses(func(c command.Command) bool { _, is := c.(*command.Jump); return is }),
		"misses forgotten items": misses(func(c command.Command) bool { _, is := c.(*command.ItemForget); return is }),
		"misses restores":        misses(func(c command.Command) bool { _, is := c.(*command.Restore); return is }),
		"misses arriving rows":   misses(func(c command.Command) bool { _, is := c.(*command.Import); return is }),
	}
	var readers []archiveReader
	for name, spoil := range all {
		r := rightReader()
		spoil(&r)
		r.name = name
		readers = append(readers, r)
	}
	return readers
}

func takesToo(o state.Outcome) func(state.Verdict) bool {
	return func(v state.Verdict) bool { return v.Outcome == state.Executed || v.Outcome == o }
}

func misses(which func(command.Command) bool) func(*archiveReader) {
	return func(r *archiveReader) {
		right := r.touches
		r.touches = func(c command.Command, id rookery.AccountID) bool { return !which(c) && right(c, id) }
	}
}

// TestAnAccountsReplayIsTheGroups: for random histories of two groups, each
// account's rows follow from the entries that touch it, applied alone by their
// verdicts. ROOKERY_HISTORIES is how many histories, ROOKERY_SEED the first.
func TestAnAccountsReplayIsTheGroups(t *testing.T) {
	n, seed := number(t, "ROOKERY_HISTORIES", 200), number(t, "ROOKERY_SEED", uint64(time.Now().UnixNano()))
	t.Logf("%d histories: repeat with ROOKERY_SEED=%d ROOKERY_HISTORIES=%d", n, seed, n)
	wrong := wrongReaders()
	outcomes := map[string]int{}
	for i := range n {
		h := newHistory(t, seed+i)
		for range 120 {
			h.step()
		}
		h.settle()
		for _, g := range h.groups {
			for _, id := range h.ids {
				if d := h.replay(g, id, rightReader()); d != "" {
					t.Fatalf("seed %d, group %d, account %s: %s", seed+i, g.id, id, d)
				}
				wrong = slices.DeleteFunc(wrong, func(r archiveReader) bool { return h.replay(g, id, r) != "" })
			}
		}
		for k, n := range h.seen {
			outcomes[k] += n
		}
		h.store.Close()
	}
	for _, r := range wrong {
		t.Errorf("a reader that %s is not noticed", r.name)
	}
	for _, o := range []string{"executed", "refused", "duplicate", "fenced", "forgotten", "accounts moved", "accounts stayed",
		"messages restored", "packs that live again"} {
		if outcomes[o] == 0 {
			t.Errorf("nothing was %s in any history: the test proves less than it says", o)
		}
	}
	t.Logf("%v", outcomes)
}

func number(t *testing.T, name string, or uint64) uint64 {
	v := os.Getenv(name)
	if v == "" {
		return or
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// history is what happens in two groups, and what their archives have of it.
type history struct {
	t       *testing.T
	rng     *rand.Rand
	store   *state.Store
	groups  []*archived
	ids     []rookery.AccountID
	where   map[rookery.AccountID]int // index of the group that serves it, as far as is known
	clock   int64
	epoch   uint64
	term    uint64
	emails  int
	moves   map[rookery.AccountID]*oneMoveOf
	move    command.MoveID
	scratch rookery.GroupID
	seen    map[string]int

	restores map[rookery.AccountID]*restoring
	revived  map[revived]bool
}

// archived is a group with its archive: entries by index, verdicts.
type archived struct {
	id       rookery.GroupID
	g        *state.Group
	m        *Machine
	log      []rookery.Entry // from index 1
	verdicts map[rookery.LogIndex]state.Verdict
	read     rookery.LogIndex // verdicts are in the archive up to it
	seq      uint64
	stages   uint64
}

func newHistory(t *testing.T, seed uint64) *history {
	store, err := state.Open("state", vfs.NewMem(),
		state.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	h := &history{t: t, rng: rand.New(rand.NewPCG(seed, 2)), store: store, where: map[rookery.AccountID]int{}, clock: 1_700_000_000e9,
		epoch: 1, term: 1, moves: map[rookery.AccountID]*oneMoveOf{}, scratch: 1000, seen: map[string]int{},
		restores: map[rookery.AccountID]*restoring{}, revived: map[revived]bool{}}
	for _, id := range []rookery.GroupID{2, 3} {
		a := &archived{id: id, verdicts: map[rookery.LogIndex]state.Verdict{}}
		a.g, a.m = h.group(id)
		h.groups = append(h.groups, a)
		h.propose(a, &command.Archived{})
		a.read = 1
	}
	for n := range 4 {
		id := accountID(n + 1)
		h.ids, h.where[id] = append(h.ids, id), n%2
		h.propose(h.groups[n%2], &command.CreateAccount{Account: id, Key: under(3, byte(n)), Quota: []int64{0, 3000}[h.rng.IntN(2)],
			Roles: command.DefaultRoles(), Validity: 1000})
	}
	return h
}

func (h *history) group(id rookery.GroupID) (*state.Group, *Machine) {
	var m *Machine
	g, err := h.store.Group(id, func(g *state.Group) state.Machine {
		m = newMachine(g, nil, join())
		m.maxTombstones, m.maxReap = 4, 3
		return m
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return g, m
}

// entry appends an entry to a group's log and applies it.
func (h *history) entry(a *archived, data []byte) []byte {
	e := rookery.Entry{Index: rookery.LogIndex(len(a.log) + 1), Term: h.term, Data: data}
	a.log = append(a.log, e)
	return a.g.Apply([]rookery.Entry{e})[0]
}

func (h *history) raw(a *archived, cmd []byte) []byte {
	a.seq++
	h.clock += 1e6
	low := a.seq - min(a.seq-1, 6)
	return h.entry(a, state.Wrap(state.Header{Node: "n1", Epoch: h.epoch, Seq: a.seq, Low: low, Time: h.clock + h.rng.Int64N(8e6) - 4e6}, cmd))
}

// propose gives a command's result, or nil where it is refused.
func (h *history) propose(a *archived, c command.Command) command.Result {
	out := h.raw(a, command.Encode(c))
	if state.ResultError("apply", out) != nil {
		return nil
	}
	r, err := command.DecodeResult(command.TypeOf(c), state.DecodeResult(out).Value)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// archive takes the verdicts on entries up to an index, and says so.
func (h *history) archive(a *archived, upto rookery.LogIndex) {
	s := a.g.Read()
	defer s.Close()
	if err := s.Verdicts(a.read+1, upto+1, func(v state.Verdict) bool {
		a.verdicts[v.Index] = v
		h.seen[v.Outcome.String()]++
		return true
	}); err != nil {
		h.t.Fatal(err)
	}
	for i := a.read + 1; i <= upto; i++ {
		if a.verdicts[i].Index != i {
			h.t.Fatalf("group %d has no verdict on entry %d", a.id, i)
		}
	}
	a.read = upto
	h.propose(a, &command.Archived{Upto: upto})
}

// settle archives the rest.
func (h *history) settle() {
	for _, a := range h.groups {
		h.archive(a, rookery.LogIndex(len(a.log)))
		delete(a.verdicts, 0)
	}
}

// feed is what a reader takes of a group's archive for an account.
func (h *history) feed(a *archived, id rookery.AccountID, r archiveReader) (feed []state.Replayed) {
	take := map[rookery.LogIndex]bool{}
	chunks := map[string]rookery.LogIndex{} // the last of a stage's parts
	for _, e := range a.log {
		v, known := a.verdicts[e.Index]
		_, offset, err := state.Unwrap(e.Data)
		c, _, derr := command.Decode(e.Data[max(offset, 0):])
		if !known || err != nil || derr != nil || !r.takes(v) {
			continue
		}
		if s, is := c.(*command.Stage); is {
			chunks[fmt.Sprint(s.Stage, s.Part)] = e.Index
		}
		if !r.touches(c, id) {
			continue
		}
		take[e.Index] = true
		var staged *command.Staged // it goes with what takes it
		switch c := c.(type) {
		case *command.Deliver:
			staged = c.Staged
		case *command.ImportBody:
			staged = c.Staged
		case *command.Restore:
			staged = c.Staged
		}
		for p := uint32(0); staged != nil && p < staged.Parts; p++ {
			take[chunks[fmt.Sprint(staged.Stage, p)]] = true
		}
	}
	last := int64(0)
	for _, e := range a.log {
		if take[e.Index] {
			hdr, _, _ := state.Unwrap(e.Data)
			last = max(last+1, r.at(a.verdicts[e.Index], hdr))
			feed = append(feed, state.Replayed{Entry: e, Time: last})
		}
	}
	return feed
}

// replay has a fresh machine replay an account, and compares.
func (h *history) replay(a *archived, id rookery.AccountID, r archiveReader) (diff string) {
	h.scratch++
	g, _ := h.group(h.scratch)
	feed := h.feed(a, id, r)
	var broken any
	func() {
		defer func() { // a wrong reader breaks invariants
			if broken = recover(); broken != nil && r.name == "right" {
				panic(broken)
			}
		}()
		results, err := g.Replay(feed)
		if err != nil {
			h.t.Fatal(err)
		}
		for i, out := range results {
			if err := state.ResultError("replay", out); err != nil && diff == "" {
				diff = fmt.Sprintf("entry %d: %v", feed[i].Index, err)
			}
		}
	}()
	if broken != nil {
		return fmt.Sprint(broken)
	}
	if diff == "" {
		want, got := h.rows(a.g, a.m, id), h.rows(g, a.m, id)
		if len(want) != len(got) || !cmp.Equal(want, got) {
			diff = cmp.Diff(want, got)
		}
	}
	return diff
}

// rows are all rows of an account, whatever table they are in, and what the
// group keeps of its bodies but for who else refers to them and where they lie.
func (h *history) rows(g *state.Group, m *Machine, id rookery.AccountID) map[string]string {
	s := g.Read()
	defer s.Close()
	rows := map[string]string{}
	must(s.Scan([]byte{state.FirstTable}, nil, func(k, v []byte) (bool, error) {
		if strings.Contains(string(k), string(id[:])) {
			rows[fmt.Sprintf("%s %x", m.parts.Of(k).Name, k)] = string(v)
		}
		if k[0] != tableEmail || rookery.AccountID(k[1:17]) != id {
			return true, nil
		}
		e, err := decodeEmail(v)
		must(err)
		v, err = s.Get(bodyKey(tableBody, e.body))
		must(err)
		b, err := decodeBody(e.body, v)
		must(err)
		b.refs, b.Pack = 0, nil
		if h.revived[revived{m.group.ID(), id, e.body}] {
			b.Log = nil
		}
		extract, err := s.Get(bodyKey(tableExtract, e.body))
		rows[fmt.Sprintf("body %d", e.body)] = fmt.Sprintf("%x %x", b.encode(), extract)
		return true, err
	}))
	return rows
}
