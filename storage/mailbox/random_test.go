package mailbox

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/queue"
	"rookery/storage/uidset"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "seed of the random commands; 0 takes the clock's")
	stepsFlag = flag.Int("steps", 1200, "random commands to run")
)

// storm runs random commands against the machine and the model.
type storm struct {
	*fixture
	*testing.T
	rng    *rand.Rand
	model  *model
	emails int
	packs  int
	jobs   int
	uids   map[boxKey]rookery.UID // highest UIDNEXT seen: it only rises
	modseq map[rookery.AccountID]rookery.ModSeq
	tenant byte // tenant key version in use
	floor  byte
}

var equal = cmp.Options{
	cmp.Comparer(func(a, b UIDs) bool { return a.Equal(b) }),
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreFields(command.Filed{}, "Text"),
}

// TestRandomCommandsAgainstTheModel compares the machine with the naive model
// after every random command, through restores, restarts and retries.
func TestRandomCommandsAgainstTheModel(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d: repeat with -seed=%d -steps=%d", seed, seed, *stepsFlag)
	f := openFixture(t)
	f.prep = func(m *Machine) { m.maxTombstones = 24 }
	f.prep(f.m)
	s := &storm{fixture: f, T: t, rng: rand.New(rand.NewPCG(seed, 1)), model: newModel(), uids: map[boxKey]rookery.UID{},
		modseq: map[rookery.AccountID]rookery.ModSeq{}, tenant: 1}
	for n := range 3 {
		s.createAccount(accountID(n), []int64{0, 2000, 6000}[n])
	}
	for step := range *stepsFlag {
		what := s.step()
		if t.Failed() {
			t.Fatalf("step %d: %s", step, what)
		}
		switch s.rng.IntN(60) {
		case 0:
			what += ", restored"
			s.restore()
		case 1:
			what += ", reopened"
			s.reopen()
		case 2, 3, 4, 5:
			what += ", sent twice"
			s.again()
		}
		s.compare()
		if t.Failed() {
			t.Fatalf("step %d: %s", step, what)
		}
	}
	s.compareReplica()
	s.eraseAll()
	s.compareReplica()
}

// compareReplica applies the same log to another store, in batches of other
// sizes and with restarts elsewhere: every row must be the same.
func (s *storm) compareReplica() {
	s.T.Helper()
	r := openFixture(s.T)
	r.prep = s.prep
	r.prep(r.m)
	for at := 0; at < len(s.log); {
		n := min(1+s.rng.IntN(20), len(s.log)-at)
		batch := make([]rookery.Entry, n)
		for i := range batch {
			batch[i] = rookery.Entry{Index: rookery.LogIndex(at + i + 1), Term: 1, Data: s.log[at+i]}
		}
		r.group.Apply(batch)
		if at += n; s.rng.IntN(40) == 0 {
			r.reopen()
		}
	}
	s.fail("replica", s.dump(), r.dump())
}

func (s *storm) createAccount(id rookery.AccountID, quota int64) {
	do[*command.AccountResult](s.fixture, &command.CreateAccount{Account: id, Key: []byte("k"), Quota: quota,
		Roles: command.DefaultRoles(), Validity: 1000})
	a := &modelAccount{key: []byte("k"), wraps: map[rookery.EmailID][]byte{}, quota: quota, modseq: 1, validity: 999, next: Inbox,
		subs: map[string]bool{}, emails: map[rookery.EmailID]BodyID{}, sizes: map[rookery.EmailID]int64{},
		threads: map[rookery.EmailID]rookery.ThreadID{}, tokens: map[[8]byte]rookery.ThreadID{}, holders: map[[8]byte][]rookery.EmailID{}}
	for _, r := range append([]command.Role{{Name: "INBOX"}}, command.DefaultRoles()...) {
		a.create(r.Name, r.Attr, 1000, s.clock)
		a.subs[r.Name] = true
	}
	s.model.accounts[id] = a
}

func (s *storm) account() (rookery.AccountID, *modelAccount) {
	id := accountID(s.rng.IntN(3))
	return id, s.model.accounts[id]
}

func (s *storm) box(a *modelAccount) *modelBox {
	if s.rng.IntN(2) == 0 {
		return a.boxes[s.rng.IntN(min(3, len(a.boxes)))]
	}
	return a.boxes[s.rng.IntN(len(a.boxes))]
}

func (s *storm) name() string {
	n := []string{"a", "b", "c", "INBOX", "Drafts"}[s.rng.IntN(5)]
	for s.rng.IntN(2) == 0 && len(n) < 9 {
		n += "/" + []string{"a", "b", "x"}[s.rng.IntN(3)]
	}
	return n
}

func (s *storm) keywords() (out []string) {
	for s.rng.IntN(3) == 0 {
		out = append(out, []string{"$Forwarded", "work", "WORK", "$Junk"}[s.rng.IntN(4)])
	}
	return out
}

func (s *storm) some(x *modelBox) UIDs {
	if s.rng.IntN(8) == 0 {
		return uidset.Range(1, 0xffffffff)
	}
	var uids []rookery.UID
	for u := rookery.UID(1); u < x.UIDNext+2; u++ {
		if s.rng.IntN(4) == 0 {
			uids = append(uids, u)
		}
	}
	return uidset.New(uids...)
}

// run applies a command and compares its answer: want is the result, or the
// kind of refusal.
func (s *storm) run(c command.Command, want command.Result, kind rookery.Kind) {
	s.T.Helper()
	got, err := s.apply(c)
	if kind != 0 {
		if !rookery.Is(err, kind) {
			s.T.Errorf("%T %+v: %v, want %s", c, c, err, kind)
		}
		return
	}
	if err != nil {
		s.T.Errorf("%T %+v: %v", c, c, err)
	} else if d := cmp.Diff(want, got, equal); want != nil && d != "" {
		s.T.Errorf("%T %+v: %s", c, c, d)
	}
}

// now is the group time of the next command.
func (s *storm) now() int64 { return s.clock + 1e6 }

func (s *storm) step() string {
	id, a := s.account()
	x := s.box(a)
	flags := Flags(s.rng.IntN(32))
	m := s.model
	switch n := s.rng.IntN(110); {
	case n >= 100:
		return s.restoreRandom()
	case n < 30:
		return s.deliverRandom()
	case n < 45:
		c := &command.StoreFlags{Account: id, Mailbox: x.ID, UIDs: s.some(x), Mode: command.StoreMode(s.rng.IntN(3)), Flags: flags,
			Keywords: s.keywords()}
		if s.rng.IntN(3) == 0 {
			since := rookery.ModSeq(s.rng.Uint64N(uint64(a.modseq) + 1))
			c.UnchangedSince = &since
		}
		s.run(c, m.store(c), 0)
		return fmt.Sprintf("%+v", c)
	case n < 53:
		c := &command.Expunge{Account: id, Mailbox: x.ID, UIDs: s.some(x), Force: s.rng.IntN(3) == 0, All: s.rng.IntN(6) == 0}
		s.run(c, m.expunge(c, s.now()), 0)
		return fmt.Sprintf("%+v", c)
	case n < 66:
		y := s.box(a)
		var c command.Command = &command.Copy{Account: id, From: x.ID, UIDs: s.some(x), To: y.ID}
		move := n >= 60
		if move {
			c = &command.Move{Account: id, From: x.ID, UIDs: c.(*command.Copy).UIDs, To: y.ID}
		}
		var uids uidset.Set
		if cc, ok := c.(*command.Copy); ok {
			uids = cc.UIDs
		} else {
			uids = c.(*command.Move).UIDs
		}
		want, kind := m.copy(id, x.ID, y.ID, uids, move, s.now())
		s.run(c, want, kind)
		return fmt.Sprintf("%T %+v", c, c)
	case n < 71:
		c := &command.CreateMailbox{Account: id, Name: s.name(), Validity: uint32(s.rng.IntN(2000))}
		if a.named(c.Name) != nil {
			s.run(c, nil, rookery.KindExists)
		} else {
			a.modseq++
			b := a.create(c.Name, "", c.Validity, s.now())
			s.run(c, &command.MailboxResult{Mailbox: b.ID, UIDValidity: b.UIDValidity, Name: b.Name}, 0)
		}
		return fmt.Sprintf("%+v", c)
	case n < 74:
		c := &command.DeleteMailbox{Account: id, Name: s.name()}
		s.run(c, nil, m.delete(c, s.now()))
		return fmt.Sprintf("%+v", c)
	case n < 79:
		c := &command.RenameMailbox{Account: id, From: s.name(), To: s.name(), Validity: uint32(s.rng.IntN(2000))}
		s.run(c, nil, m.rename(c, s.now()))
		return fmt.Sprintf("%+v", c)
	case n < 82:
		c := &command.Subscribe{Account: id, Name: s.name(), On: s.rng.IntN(2) == 0}
		if a.subs[c.Name] != c.On {
			a.modseq++
		}
		if delete(a.subs, c.Name); c.On {
			a.subs[c.Name] = true
		}
		s.run(c, nil, 0)
		return fmt.Sprintf("%+v", c)
	case n < 86:
		c := &command.Recover{Account: id, To: x.ID}
		for _, e := range a.expunged {
			if s.rng.IntN(4) == 0 {
				c.Messages = append(c.Messages, e.ExpungedID)
			}
		}
		if s.rng.IntN(10) == 0 {
			c.Messages = append(c.Messages, command.ExpungedID{ModSeq: 1, UID: 1})
		}
		want, kind := m.recover(c, s.now())
		s.run(c, want, kind)
		return fmt.Sprintf("%+v", c)
	case n < 90:
		c := &command.PurgeExpunged{Account: id, Before: s.now() - s.rng.Int64N(300)*1e6}
		s.run(c, &command.PurgeResult{Purged: m.purge(c.Account, c.Before)}, 0)
		return fmt.Sprintf("%+v", c)
	case n < 93:
		return s.keysRandom()
	case n < 96:
		return s.packRandom()
	default:
		return s.stageRandom()
	}
}

func (s *storm) deliverRandom() string {
	m := s.model
	s.emails++
	c := &command.Deliver{Email: emailID(s.emails), Size: s.rng.Int64N(400), Layout: []byte("l"), Extract: []byte("x"),
		Payload: []byte("payload")}
	if s.rng.IntN(20) == 0 {
		c.Email = emailID(1 + s.rng.IntN(s.emails)) // restored: may be here already
	}
	for range s.rng.IntN(3) + 1 {
		id, a := s.account()
		d := command.Delivery{Account: id, Flags: Flags(s.rng.IntN(32)), Keywords: s.keywords(), WrappedKey: []byte("k"),
			Strict: s.rng.IntN(2) == 0, NoQuota: s.rng.IntN(5) == 0, InternalDate: s.rng.Int64N(3)}
		switch s.rng.IntN(10) {
		case 0:
			d.Mailbox = 9999
		case 1:
			d.Account = accountID(77)
		case 2, 3, 4:
			d.Mailbox = s.box(a).ID
		case 5, 6:
			d.Role = []string{`\Junk`, `\Sent`, `\Important`}[s.rng.IntN(3)]
			if s.rng.IntN(5) == 0 {
				d.Mailbox = s.box(a).ID
			}
		}
		d.WrappedKey = []byte{1, byte(s.rng.IntN(256))}
		for range s.rng.IntN(3) {
			if t := ([8]byte{byte(s.rng.IntN(12))}); !slices.Contains(d.Threads, t) {
				d.Threads = append(d.Threads, t)
			}
		}
		c.Deliveries = append(c.Deliveries, d)
	}
	if len(m.staged) > 0 && s.rng.IntN(3) == 0 {
		for st, parts := range m.staged {
			c.Staged, c.Payload = &command.Staged{Stage: st, Parts: parts}, []byte{}
			break
		}
	}
	switch s.rng.IntN(12) {
	case 0:
		c.Item = &command.Item{ID: command.ItemID{byte(s.emails), byte(s.emails >> 8), 1}, Kind: command.Message,
			Rows: []command.ItemRow{{Kind: command.ToGroup, Group: 3}, {Kind: command.ToGroup, Group: 4, Deliveries: c.Deliveries[:1]}}}
	case 1:
		c.FromItem = &command.ItemID{byte(s.rng.IntN(4)), 2}
	case 2:
		if c.Staged == nil {
			c.Staged, c.Payload = &command.Staged{Stage: command.StageID{Node: "n1", Epoch: 1, N: 1 << 40}, Parts: 1}, nil
			if c.FromItem == nil {
				s.run(c, nil, rookery.KindConflict)
				return "deliver of an absent stage"
			}
		}
	}
	s.run(c, m.deliver(c, BodyID(s.index+1), s.now()), 0)
	return fmt.Sprintf("%+v", c)
}

func (s *storm) packRandom() string {
	m := s.model
	switch s.rng.IntN(4) {
	case 0: // pack, sometimes what lies in an older pack or is gone
		s.packs++
		c := &command.Packed{Pack: command.PackID(fmt.Sprintf("pack%04d", s.packs)), Size: 1 << 20}
		alive := m.alive()
		m.life[c.Pack] = s.now()
		for id := range BodyID(s.index) {
			if s.rng.IntN(3) == 0 && (alive[id] && (m.packed[id] == "" || s.rng.IntN(4) == 0) || s.rng.IntN(200) == 0) {
				c.Bodies = append(c.Bodies, command.PackedBody{Body: id, Off: int64(id), Len: max(m.encoded[id], 1)})
				if alive[id] {
					m.packed[id] = c.Pack
					m.places[id] = append(m.places[id], c.Pack)
					m.life[c.Pack] = min(m.life[c.Pack], m.arrived[id])
				}
			}
		}
		s.run(c, nil, 0)
		s.run(c, nil, rookery.KindExists)
		return fmt.Sprintf("%+v", c)
	case 1, 2:
		if s.packs == 0 {
			return ""
		}
		id := command.PackID(fmt.Sprintf("pack%04d", 1+s.rng.IntN(s.packs)))
		for b := range m.alive() {
			if m.packed[b] == id {
				s.run(&command.PackDead{Pack: id}, nil, rookery.KindConflict)
				return "dead pack " + string(id)
			}
		}
		s.apply(&command.PackDead{Pack: id})
		if s.rng.IntN(4) == 0 {
			s.run(&command.PackDeleted{Pack: id}, nil, 0)
			m.deleted[id] = true
		}
		return "dead pack " + string(id)
	}
	for id, x := range m.items {
		n := uint32(s.rng.IntN(3)) // 2: there is none
		if delete(x.rows, n); len(x.rows) == 0 {
			delete(m.items, id)
		}
		s.run(&command.ItemResult{Item: id, Row: n}, nil, 0)
		return fmt.Sprintf("row %d of item %x done", n, id)
	}
	id := command.ItemID{byte(s.rng.IntN(4)), 2}
	delete(m.filed, id)
	s.run(&command.ItemForget{Item: id}, nil, 0)
	return "item forgotten"
}

func (s *storm) stageRandom() string {
	m := s.model
	id := command.StageID{Node: "n1", Epoch: 1 + uint64(s.index/800), N: s.rng.Uint64N(3)}
	if s.rng.IntN(4) == 0 {
		delete(m.staged, id)
		s.run(&command.Abandon{Stage: id}, nil, 0)
		return "abandon"
	}
	if s.rng.IntN(16) == 0 {
		// A node that was removed: what it has staged is gone with it.
		gone := command.StageID{Node: "n2", Epoch: 1 + s.rng.Uint64N(3), N: s.rng.Uint64N(3)}
		s.apply(&command.Stage{Stage: gone, Payload: []byte("chunk")})
		s.run(&command.ForgetNode{Node: "n2"}, nil, 0)
		s.run(&command.Deliver{Email: emailID(1), Staged: &command.Staged{Stage: gone, Parts: 1}}, nil, rookery.KindConflict)
		return "forget node"
	}
	for old := range m.staged {
		if old.Epoch < id.Epoch {
			delete(m.staged, old)
		}
	}
	s.run(&command.Stage{Stage: id, Part: m.staged[id] + 1, Payload: []byte("chunk")}, nil, rookery.KindConflict)
	s.run(&command.Stage{Stage: id, Part: m.staged[id], Payload: []byte("chunk")}, nil, 0)
	m.staged[id]++
	return "stage"
}

func (s *storm) fail(what string, want, got any) {
	s.T.Helper()
	if reflect.DeepEqual(want, got) {
		return // cmp is slow
	}
	if d := cmp.Diff(want, got, equal); d != "" {
		s.T.Errorf("%s: %s", what, d)
	}
}

func (s *storm) compare() {
	s.T.Helper()
	for id, a := range s.model.accounts {
		v := s.view(id)
		used, messages := a.used()
		s.fail("account", Account{ID: id, Key: a.key, Quota: a.quota, UsedBytes: used, UsedMessages: messages, ModSeq: a.modseq,
			Created: v.Account().Created}, v.Account())
		if v.Account().ModSeq < s.modseq[id] {
			s.T.Error("MODSEQ went back")
		}
		s.modseq[id] = v.Account().ModSeq
		s.compareFolders(v, id, a)
		s.compareExpunged(v, a)
		v.Close()
	}
	s.compareBodies()
}

func (s *storm) compareFolders(v *View, id rookery.AccountID, a *modelAccount) {
	s.T.Helper()
	var want []Mailbox
	for _, x := range a.boxes {
		x.Messages, x.Unseen, x.Deleted, x.Size = uint32(len(x.rows)), 0, 0, 0
		for _, r := range x.rows {
			x.count2(r)
		}
		want = append(want, x.Mailbox)
	}
	slices.SortFunc(want, func(a, b Mailbox) int {
		if a.ID == Inbox || b.ID == Inbox {
			return int(a.ID) - int(b.ID)
		}
		return strings.Compare(a.Name, b.Name)
	})
	got, err := v.Mailboxes()
	if err != nil {
		s.T.Fatal(err)
	}
	s.fail("mailboxes", want, got)
	subs, err := v.Subscriptions()
	if err != nil {
		s.T.Fatal(err)
	}
	s.fail("subscriptions", sorted(a.subs), subs)
	for i, x := range a.boxes {
		if k := (boxKey{id, x.ID}); x.UIDNext < s.uids[k] {
			s.T.Error("UIDNEXT went back")
		} else {
			s.uids[k] = x.UIDNext
		}
		if s.rng.IntN(3) == 0 || i < 2 {
			s.compareBox(v, x)
		}
	}
}

func (x *modelBox) count2(r Row) {
	x.Size += r.Size
	if !r.Flags.Has(command.FlagSeen) {
		x.Unseen++
	}
	if r.Flags.Has(command.FlagDeleted) {
		x.Deleted++
	}
}

func (s *storm) compareBox(v *View, x *modelBox) {
	s.T.Helper()
	var rows []Row
	var uids []rookery.UID
	if err := v.Rows(x.ID, 1, 0xffffffff, func(r Row) bool { rows = append(rows, r); return true }); err != nil {
		s.T.Fatal(err)
	}
	s.fail("rows of "+x.Name, x.rows, rows)
	for _, r := range x.rows {
		uids = append(uids, r.UID)
	}
	list, err := v.UIDs(x.ID)
	if err != nil {
		s.T.Fatal(err)
	}
	s.fail("UIDs of "+x.Name, uidset.New(uids...).String(), list.String())
	since := rookery.ModSeq(s.rng.Uint64N(uint64(x.HighestModSeq) + 2))
	c, err := v.Changes(x.ID, since)
	if err != nil {
		s.T.Fatal(err)
	}
	var want []Row
	for _, r := range x.rows {
		if r.ModSeq > since {
			want = append(want, r)
		}
	}
	slices.SortStableFunc(want, func(a, b Row) int { return int(a.ModSeq) - int(b.ModSeq) })
	s.fail(fmt.Sprintf("changes of %s since %d", x.Name, since), want, c.Rows)
	var gone []rookery.UID
	for u, m := range x.tombs {
		if m > since {
			gone = append(gone, u)
		}
	}
	vanished := uidset.New(gone...)
	if c.Complete {
		s.fail(fmt.Sprintf("vanished of %s since %d", x.Name, since), vanished.String(), c.Vanished.String())
	} else if !c.Vanished.Without(vanished).Empty() || since >= x.HighestModSeq {
		s.T.Errorf("vanished of %s since %d: %s of %s", x.Name, since, c.Vanished, vanished)
	}
	if got := s.count(mailboxKey(tableTombstone, v.account.ID, x.ID)); got > 24 {
		s.T.Errorf("%d tombstones", got)
	}
}

func (s *storm) count(prefix key) (n int) {
	r := s.group.Read()
	defer r.Close()
	r.Scan(prefix, prefix.End(), func(_, _ []byte) (bool, error) { n++; return true, nil })
	return n
}

func (s *storm) compareExpunged(v *View, a *modelAccount) {
	s.T.Helper()
	got, err := v.Expunged(command.ExpungedID{}, 1<<20)
	if err != nil {
		s.T.Fatal(err)
	}
	var want []Expunged
	for _, e := range a.expunged {
		e.Row.ModSeq = 0
		want = append(want, e.Expunged)
	}
	slices.SortFunc(want, func(a, b Expunged) int {
		if a.ModSeq != b.ModSeq {
			return int(a.ModSeq) - int(b.ModSeq)
		}
		return int(a.UID) - int(b.UID)
	})
	for i := range got {
		got[i].Row.ModSeq = 0
	}
	s.fail("recoverable list", want, got)
	if n := s.count(accountKey(tableEmail, v.account.ID)); n != len(a.emails) {
		s.T.Errorf("%d emails, want %d", n, len(a.emails))
	}
	if n := s.count(accountKey(tableToken, v.account.ID)); n != len(a.tokens) {
		s.T.Errorf("%d thread tokens, want %d", n, len(a.tokens))
	}
	for id, body := range a.emails {
		if s.rng.IntN(10) > 0 {
			continue
		}
		e, err := v.Email(id)
		if err != nil || e.Body != body || e.Thread != a.threads[id] || !bytes.Equal(e.Extract, []byte("x")) || !bytes.Equal(e.Key, a.wraps[id]) {
			s.T.Errorf("email %s: %+v %v, want body %d", id, e, err, body)
		}
		b, err := v.Body(body)
		if err != nil || (len(b.Log) == 0) != s.model.revived[body] || (len(b.Pack) > 0) != (s.model.packed[body] != "") ||
			b.Arrived != s.model.arrived[body] {
			s.T.Errorf("body %d: %+v %v", body, b, err)
		}
	}
}

func (s *storm) compareBodies() {
	s.T.Helper()
	alive := s.model.alive()
	var want []BodyID
	live, bytes := map[command.PackID]uint32{}, map[command.PackID]int64{}
	for id := range alive {
		if p := s.model.packed[id]; p != "" {
			live[p]++
			bytes[p] += max(s.model.encoded[id], 1)
		} else {
			want = append(want, id)
		}
	}
	slices.Sort(want)
	bodies, err := s.m.Unpacked(0, 1<<20)
	if err != nil {
		s.T.Fatal(err)
	}
	var got []BodyID
	var oldest rookery.LogIndex
	for _, b := range bodies {
		got = append(got, b.ID)
		if oldest == 0 || b.Log[0].Index < oldest {
			oldest = b.Log[0].Index
		}
	}
	s.fail("unpacked", want, got)
	if n := s.count(newKey(tableBody)); n != len(alive) {
		s.T.Errorf("%d bodies, want %d", n, len(alive))
	}
	stages, err := s.m.Stages()
	if err != nil || len(stages) != len(s.model.staged) {
		s.T.Errorf("stages %+v %v, want %v", stages, err, s.model.staged)
	}
	for _, st := range stages {
		if st.Parts != s.model.staged[st.ID] {
			s.T.Errorf("stage %+v, want %d parts", st, s.model.staged[st.ID])
		}
		if oldest == 0 || st.First < oldest {
			oldest = st.First
		}
	}
	if first, err := s.m.OldestUnpacked(); first != oldest || err != nil {
		s.T.Errorf("oldest unpacked %d %v, want %d", first, err, oldest)
	}
	packs, err := s.m.Packs("", 1<<20)
	if err != nil || len(packs) != s.packs {
		s.T.Errorf("%d packs %v", len(packs), err)
	}
	for _, p := range packs {
		if p.LiveBodies != live[p.ID] || p.Live != bytes[p.ID] || p.Arrived != s.model.life[p.ID] {
			s.T.Errorf("pack %+v, want %d live bodies since %d", p, live[p.ID], s.model.life[p.ID])
		}
	}
	s.checkQueue()
}

// checkQueue compares the items, and the index of due rows.
func (s *storm) checkQueue() {
	items, err := s.m.OpenItems(command.ItemID{}, 1<<20)
	if err != nil || len(items) != len(s.model.items) {
		s.T.Errorf("%d items %v, want %d", len(items), err, len(s.model.items))
	}
	var want []queue.Due
	for id, x := range s.model.items {
		for n, g := range x.rows {
			want = append(want, queue.Due{At: x.due, Ref: queue.Ref{Item: id, N: n}, Kind: command.ToGroup, Of: command.Message, Group: g})
		}
	}
	slices.SortFunc(want, func(a, b queue.Due) int { return int(2*(a.At-b.At)) + int(a.N) - int(b.N) })
	due, err := s.m.Due(queue.Class{Row: command.ToGroup, Of: command.Message}, math.MaxInt64, queue.Due{}, 1<<20)
	if err != nil {
		s.T.Error(err)
	}
	s.fail("rows that are due", want, due)
	for _, x := range due {
		if o, err := s.m.Owed(x.Ref); err != nil || o.Row.Due != x.At || o.Row.Group != x.Group || o.Body.ID != s.model.items[x.Item].body {
			s.T.Errorf("%+v: %+v %v", x, o, err)
		}
	}
}

// eraseAll ends everything and looks for what is left.
func (s *storm) eraseAll() {
	s.T.Helper()
	for id := range s.model.accounts {
		do[*command.Done](s.fixture, &command.EraseAccount{Account: id})
		if _, err := s.m.View(id); !rookery.Is(err, rookery.KindNotFound) {
			s.T.Error("an erased account opens:", err)
		}
	}
	for id := range s.model.items {
		do[*command.Done](s.fixture, &command.ItemResult{Item: id, Row: 0})
		do[*command.Done](s.fixture, &command.ItemResult{Item: id, Row: 1})
	}
	for i := range byte(4) {
		do[*command.Done](s.fixture, &command.ItemForget{Item: command.ItemID{i, 2}})
	}
	do[*command.Done](s.fixture, &command.Abandon{Stage: command.StageID{Node: "n1", Epoch: 1 << 60}, Epoch: true})
	for do[*command.PurgeResult](s.fixture, &command.DropTrace{Before: s.clock + 1e9, Most: 3}).More {
	}
	for i := 0; s.count(newKey(tableGrave)) > 0; i++ {
		if i > 1000 {
			s.T.Fatal("the graves never end")
		}
		s.purge(0)
	}
	for n := 1; n <= s.packs; n++ {
		id := command.PackID(fmt.Sprintf("pack%04d", n))
		for _, c := range []command.Command{&command.PackDead{Pack: id}, &command.PackDeleted{Pack: id}, &command.PackForget{Pack: id}} {
			do[*command.Done](s.fixture, c)
		}
	}
	left := map[byte]int{}
	if s.floor > 0 {
		left[tableKeyFloor] = 1
	}
	s.fail("rows left after everything was erased", left, s.tables())
}
