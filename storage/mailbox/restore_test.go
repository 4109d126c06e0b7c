package mailbox

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/uidset"
)

const oldBox rookery.MailboxID = 7 // the mailbox that restored messages were in

var oneRestore = command.RestoreID{1}

// lost is an account whose messages 1 to n were packed, expunged and purged, and how
// they come back. Its pack is dead.
func lost(t *testing.T, n int) (*fixture, rookery.AccountID, []command.RestoredMessage) {
	f, a := newAccount(t, 0)
	c := &command.Packed{Pack: "p1", Size: 1000}
	var then []command.RestoredMessage
	for i := 1; i <= n; i++ {
		f.deliver(a, i)
		id := BodyID(f.index)
		then = append(then, command.RestoredMessage{
			SourceUID: rookery.UID(10 * i), Email: emailID(i), Thread: rookery.ThreadID(emailID(i)), Key: []byte("key"), Size: 100,
			Date: 5, Saved: 6,
			Body: &command.RestoredBody{ID: id, Encoded: 6, Layout: []byte("layout"), Extract: []byte("extract"), Arrived: f.m.Time(),
				Pack: "p1", Off: int64(10 * i)},
		})
		c.Bodies = append(c.Bodies, command.PackedBody{Body: id, Off: int64(10 * i), Len: 6})
	}
	do[*command.Done](f, c)
	f.lose(a)
	do[*command.Done](f, &command.PackDead{Pack: "p1"})
	do[*command.Done](f, &command.BeginRestore{Account: a, Job: oneRestore})
	return f, a, then
}

// lose expunges and purges all of an account's INBOX.
func (f *fixture) lose(a rookery.AccountID) {
	f.t.Helper()
	do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox, UIDs: uidset.Range(1, 1000), Force: true})
	do[*command.PurgeResult](f, &command.PurgeExpunged{Account: a, Before: f.clock + 1e9})
}

func restoreOf(a rookery.AccountID, m ...command.RestoredMessage) *command.Restore {
	return &command.Restore{Account: a, Job: oneRestore, Source: oldBox, Target: Inbox, Messages: m}
}

func (f *fixture) restored(c *command.Restore, filed, skipped uint32) {
	f.t.Helper()
	if d := cmp.Diff(&command.RestoreResult{Filed: filed, Skipped: skipped}, do[*command.RestoreResult](f, c)); d != "" {
		f.t.Errorf("restore: %s", d)
	}
}

// unchanged runs commands that must be refused and leave every row as it is.
func (f *fixture) unchanged(kind rookery.Kind, all ...command.Command) {
	f.t.Helper()
	before := f.dump()
	for _, c := range all {
		f.refused(kind, c)
	}
	if d := cmp.Diff(before, f.dump()); d != "" {
		f.t.Errorf("what was refused changed rows: %s", d)
	}
}

func (f *fixture) pack(id command.PackID) Pack {
	f.t.Helper()
	p, err := f.m.Pack(id)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// A message comes back as it was, but for its UID and its MODSEQ.
func TestAMessageComesBackAsItWas(t *testing.T) {
	f, a, then := lost(t, 1)
	m := then[0]
	m.Flags, m.Keywords, m.UIDL = command.FlagSeen|command.FlagFlagged, []string{"$Work", "red"}, "u1"
	m.Thread, m.Tokens = rookery.ThreadID{9}, [][8]byte{{1}, {2}}
	was := f.mailbox(a, Inbox)
	f.restored(restoreOf(a, m), 1, 0)
	now := f.mailbox(a, Inbox)
	want := []Row{{UID: was.UIDNext, ModSeq: was.HighestModSeq + 1, Email: emailID(1), Thread: rookery.ThreadID{9}, Flags: m.Flags,
		Keywords: m.Keywords, Size: 100, InternalDate: 5, SaveDate: 6, UIDL: "u1"}}
	if d := cmp.Diff(want, f.rows(a, Inbox)); d != "" {
		t.Error(d)
	}
	if now.UIDNext != was.UIDNext+1 || now.Messages != 1 || now.UIDValidity != was.UIDValidity {
		t.Errorf("%+v became %+v", was, now)
	}
	v := f.view(a)
	defer v.Close()
	e, err := v.Email(emailID(1))
	if err != nil || e.Body != m.Body.ID || string(e.Key) != "key" || string(e.Extract) != "extract" || len(e.Tokens) != 2 || e.Size != 100 {
		t.Errorf("%+v %v", e, err)
	}
	b, err := v.Body(e.Body)
	want2 := Body{ID: m.Body.ID, Size: 100, Encoded: 6, Layout: []byte("layout"), Arrived: m.Body.Arrived, Pack: []PackPiece{{"p1", 10, 6}}}
	if d := cmp.Diff(want2, b); d != "" || err != nil {
		t.Errorf("%s %v", d, err)
	}
	if v.Account().UsedBytes != 100 || v.Account().UsedMessages != 1 {
		t.Errorf("%+v", v.Account())
	}
	// A reply finds the conversation again.
	f.deliver(a, 2, func(c *command.Deliver) { c.Deliveries[0].Threads = [][8]byte{{2}} })
	if rows := f.rows(a, Inbox); rows[1].Thread != (rookery.ThreadID{9}) {
		t.Errorf("a reply is in thread %v", rows[1].Thread)
	}
}

// A command that two coordinators send, or one again, files each message once; so do
// batches that overlap, and what comes from a mailbox that is done.
func TestARestoreFilesOnce(t *testing.T) {
	f, a, then := lost(t, 6)
	f.restored(restoreOf(a, then[:3]...), 3, 0)
	f.restored(restoreOf(a, then[:3]...), 0, 3)
	f.restored(restoreOf(a, then[1:5]...), 2, 2)
	f.reopen()
	f.restored(restoreOf(a, then[:5]...), 0, 5)
	next := restoreOf(a, then[0])
	next.Source++ // the same message was in two mailboxes
	f.restored(next, 1, 0)
	f.restored(restoreOf(a, then[5]), 0, 1) // late: the job is in the next mailbox
	f.restored(next, 0, 1)
	var got []rookery.EmailID
	for _, r := range f.rows(a, Inbox) {
		got = append(got, r.Email)
	}
	if d := cmp.Diff([]rookery.EmailID{emailID(1), emailID(2), emailID(3), emailID(4), emailID(5), emailID(1)}, got); d != "" {
		t.Error(d)
	}
	v := f.view(a)
	defer v.Close()
	jobs, err := v.Restores()
	if err != nil || len(jobs) != 1 || jobs[0].Messages != 6 || jobs[0].Bytes != 600 || jobs[0].Source != oldBox+1 || jobs[0].UID != 10 {
		t.Errorf("%+v %v", jobs, err)
	}
}

// A dead pack that a body comes back to lives again, with the bytes of that body.
func TestADeadPackLivesAgain(t *testing.T) {
	f, a, then := lost(t, 3)
	if p := f.pack("p1"); p.State != PackDead || p.Live != 0 {
		t.Fatalf("%+v", p)
	}
	f.restored(restoreOf(a, then[:2]...), 2, 0)
	p := f.pack("p1")
	if p.State != PackLive || p.Dead != 0 || p.Live != 12 || p.LiveBodies != 2 || p.Arrived != then[0].Body.Arrived {
		t.Errorf("%+v", p)
	}
	f.unchanged(rookery.KindConflict, &command.PackDead{Pack: "p1"}, &command.PackDeleted{Pack: "p1"})
	f.restored(restoreOf(a, then[2]), 1, 0)
	f.lose(a)
	do[*command.Done](f, &command.PackDead{Pack: "p1"}) // all over again
	if p := f.pack("p1"); p.Live != 0 || p.LiveBodies != 0 {
		t.Errorf("%+v", p)
	}
	do[*command.Done](f, &command.PackDeleted{Pack: "p1"})
}

// An older pack than those that the group knows of the body's life counts from the
// body's arrival.
func TestALifeBeginsWithWhatCameBack(t *testing.T) {
	f, a, then := lost(t, 1)
	f.clock += 1e12
	do[*command.Done](f, &command.Packed{Pack: "p2", Size: 1000})
	then[0].Body.Pack = "p2"
	f.restored(restoreOf(a, then[0]), 1, 0)
	if p := f.pack("p2"); p.Arrived != then[0].Body.Arrived || p.LiveBodies != 1 {
		t.Errorf("%+v", p)
	}
}

func TestADeletedPackIsRefused(t *testing.T) {
	f, a, then := lost(t, 2)
	elsewhere := *then[1].Body
	elsewhere.Pack = "unknown"
	other := then[1]
	other.Body = &elsewhere
	f.unchanged(rookery.KindNotFound, restoreOf(a, other), restoreOf(a, then[0], other))
	do[*command.Done](f, &command.PackDeleted{Pack: "p1"})
	f.unchanged(rookery.KindNotFound, restoreOf(a, then...))
	if _, err := f.apply(restoreOf(a, then...)); err == nil || !strings.Contains(err.Error(), `"p1"`) {
		t.Errorf("the refusal does not name the pack: %v", err)
	}
	do[*command.Done](f, &command.PackForget{Pack: "p1"})
	f.unchanged(rookery.KindNotFound, restoreOf(a, then...))
	// Its bytes may be brought along.
	then[0].Body.Pack = ""
	c := restoreOf(a, then[0])
	c.Payload = []byte("body 1")
	f.restored(c, 1, 0)
}

// What the group still has is referred to: the content in the account, or the body of
// another account.
func TestWhatIsStillThereIsReferredTo(t *testing.T) {
	f, a, _ := lost(t, 1)
	b := accountID(2)
	do[*command.AccountResult](f, &command.CreateAccount{Account: b, Key: []byte("k"), Roles: command.DefaultRoles()})
	f.deliver(a, 5, func(c *command.Deliver) {
		c.Deliveries = append(c.Deliveries, command.Delivery{Account: b, WrappedKey: []byte("other")})
	})
	shared := command.RestoredMessage{SourceUID: 90, Email: emailID(5), Key: []byte("key"), Size: 100, Body: &command.RestoredBody{
		ID: BodyID(f.index), Encoded: 6, Layout: []byte("layout"), Arrived: f.m.Time(), Pack: "p1", Off: 30}}
	do[*command.ExpungeResult](f, &command.Expunge{Account: a, Mailbox: Inbox, UIDs: uidset.Range(1, 1000), Force: true})
	bare := shared
	bare.Body = nil
	f.restored(restoreOf(a, bare), 1, 0) // from the recoverable list
	f.lose(a)
	bare.SourceUID++
	f.unchanged(rookery.KindNotFound, restoreOf(a, bare))
	shared.SourceUID += 2
	for _, other := range []func(*command.RestoredBody){
		func(x *command.RestoredBody) { x.Layout = []byte("another") }, func(x *command.RestoredBody) { x.Arrived++ },
		func(x *command.RestoredBody) { x.Encoded++ },
	} {
		body, m := *shared.Body, shared
		other(&body)
		m.Body = &body
		f.unchanged(rookery.KindConflict, restoreOf(a, m)) // a log that was cut gives an index again
	}
	f.restored(restoreOf(a, shared), 1, 0)
	if p := f.pack("p1"); p.State != PackDead || p.LiveBodies != 0 {
		t.Errorf("a body that is in the log made its old pack live: %+v", p)
	}
	f.lose(b)
	v := f.view(a)
	if _, err := v.Body(shared.Body.ID); err != nil {
		t.Errorf("the body went with the other account's message: %v", err)
	}
	v.Close()
	f.lose(a)
	if _, err := f.m.Body(shared.Body.ID); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("the body stays although nothing refers to it: %v", err)
	}
}

// A body that lies in no pack comes in the command, or in chunks before it.
func TestABodyMayBeBroughtAlong(t *testing.T) {
	f, a, then := lost(t, 3)
	for i := range then {
		then[i].Body.Pack = ""
	}
	f.unchanged(rookery.KindInvalid, restoreOf(a, then[0]), restoreOf(a, then...)) // where is it?
	c := restoreOf(a, then[0])
	c.Payload = []byte("body 1")
	f.restored(c, 1, 0)
	if b, err := f.m.Body(BodyID(f.index)); err != nil || b.Encoded != 6 || len(b.Log) != 1 || b.Arrived != f.m.Time() {
		t.Errorf("%+v %v", b, err)
	}
	stage := command.StageID{Node: "n1", Epoch: 1, N: 1}
	c = restoreOf(a, then[1])
	c.Staged = &command.Staged{Stage: stage, Parts: 2}
	f.unchanged(rookery.KindConflict, c)
	for range 2 { // once for the message, once in vain: it is there by then
		for p := range uint32(2) {
			do[*command.Done](f, &command.Stage{Stage: stage, Part: p, Payload: []byte("chunk")})
		}
		do[*command.RestoreResult](f, c)
	}
	if stages, err := f.m.Stages(); err != nil || len(stages) > 0 {
		t.Errorf("stages are left: %v %v", stages, err)
	}
	if bodies, err := f.m.Unpacked(0, 10); err != nil || len(bodies) != 2 || bodies[1].Encoded != 10 || len(f.rows(a, Inbox)) != 2 {
		t.Errorf("%+v %v", bodies, err)
	}
	both := restoreOf(a, then[1:]...)
	both.Payload = []byte("whose?")
	f.unchanged(rookery.KindInvalid, both)
}

func TestARestoreKeepsTheQuota(t *testing.T) {
	f, a, then := lost(t, 3)
	do[*command.Done](f, &command.SetQuota{Account: a, Quota: 250})
	f.unchanged(rookery.KindOverQuota, restoreOf(a, then...))
	f.restored(restoreOf(a, then[:2]...), 2, 0)
	c := restoreOf(a, then...)
	c.NoQuota = true
	f.restored(c, 1, 2)
}

func TestMalformedRestoresAreRefused(t *testing.T) {
	f, a, then := lost(t, 2)
	bad := func(change func(*command.RestoredMessage, *command.RestoredBody)) *command.Restore {
		body, m := *then[0].Body, then[0]
		m.Body = &body
		change(&m, &body)
		return restoreOf(a, m)
	}
	words := make([]string, command.MaxKeywords+1)
	for i := range words {
		words[i] = fmt.Sprint("k", i)
	}
	many := make([]command.RestoredMessage, command.MaxRestored+1)
	for i := range many {
		many[i] = then[0]
		many[i].SourceUID = rookery.UID(i + 1)
	}
	type (
		M = command.RestoredMessage
		B = command.RestoredBody
	)
	f.unchanged(rookery.KindInvalid,
		restoreOf(a), restoreOf(a, then[1], then[0]), restoreOf(a, then[0], then[0]), restoreOf(a, many...),
		bad(func(m *M, _ *B) { m.SourceUID = 0 }), bad(func(m *M, _ *B) { m.Email = rookery.EmailID{} }),
		bad(func(m *M, _ *B) { m.Size = -1 }), bad(func(m *M, _ *B) { m.UIDL = "\n" }),
		bad(func(m *M, _ *B) { m.Key = make([]byte, maxKey+1) }), bad(func(m *M, _ *B) { m.Tokens = make([][8]byte, MaxTokens+1) }),
		bad(func(m *M, _ *B) { m.Keywords = []string{"no good"} }),
		bad(func(_ *M, b *B) { b.ID = 0 }), bad(func(_ *M, b *B) { b.ID = BodyID(f.index + 1000) }),
		bad(func(_ *M, b *B) { b.Off = -1 }), bad(func(_ *M, b *B) { b.Off = 995 }), bad(func(_ *M, b *B) { b.Encoded = 0 }),
		bad(func(_ *M, b *B) { b.Encoded = 1001 }), bad(func(_ *M, b *B) { b.Off = 1<<63 - 1 }),
	)
	f.unchanged(rookery.KindLimit, bad(func(m *M, _ *B) { m.Keywords = words }))
	c := restoreOf(a, then[0])
	c.Target = 99
	f.unchanged(rookery.KindNotFound, c)
	f.restored(restoreOf(a, then...), 2, 0)
}

func TestRestoresOfAnAccount(t *testing.T) {
	f, a, then := lost(t, 1)
	id := func(n int) command.RestoreID { return command.RestoreID{1, byte(n)} }
	begin := func(n int) *command.BeginRestore {
		return &command.BeginRestore{Account: a, Job: id(n), Spec: []byte("spec"), By: "root"}
	}
	do[*command.Done](f, &command.BeginRestore{Account: a, Job: oneRestore}) // it is the same
	f.unchanged(rookery.KindConflict, begin(1))
	end := &command.EndRestore{Account: a, Job: oneRestore, Outcome: command.RestoreFailed, Text: "why"}
	f.unchanged(rookery.KindInvalid, &command.EndRestore{Account: a, Job: oneRestore},
		&command.EndRestore{Account: a, Job: oneRestore, Outcome: 4},
		&command.EndRestore{Account: a, Job: oneRestore, Outcome: 1, Text: strings.Repeat("x", command.MaxRestoreText+1)},
		&command.BeginRestore{Account: a}, &command.BeginRestore{Account: a, Job: id(1), Spec: make([]byte, command.MaxRestoreSpec+1)},
		&command.BeginRestore{Account: a, Job: id(1), By: strings.Repeat("x", command.MaxRestoreBy+1)})
	do[*command.Done](f, end)
	ended := f.m.Time()
	f.unchanged(rookery.KindNotFound, restoreOf(a, then...))
	do[*command.Done](f, &command.EndRestore{Account: a, Job: oneRestore, Outcome: command.RestoreDone}) // it has ended
	v := f.view(a)
	jobs, err := v.Restores()
	v.Close()
	if err != nil || len(jobs) != 1 || jobs[0].Outcome != command.RestoreFailed || jobs[0].Text != "why" || jobs[0].Ended != ended {
		t.Errorf("%+v %v", jobs, err)
	}
	for n := 1; n <= keptRestores+2; n++ {
		do[*command.Done](f, begin(n))
		do[*command.Done](f, &command.EndRestore{Account: a, Job: id(n), Outcome: command.RestoreDone})
	}
	do[*command.Done](f, begin(100))
	f.restore()
	jobs, err = f.m.Restores(rookery.AccountID{}, 1)
	if err != nil || len(jobs) != keptRestores || jobs[0].ID != id(4) || jobs[len(jobs)-1].ID != id(100) || jobs[len(jobs)-1].Ended != 0 ||
		string(jobs[0].Spec) != "spec" || jobs[0].By != "root" || jobs[0].Account != a {
		t.Errorf("%d %+v %v", len(jobs), jobs, err)
	}
	b := accountID(2)
	do[*command.AccountResult](f, &command.CreateAccount{Account: b, Key: []byte("k"), Roles: command.DefaultRoles()})
	do[*command.Done](f, &command.BeginRestore{Account: b, Job: id(1)})
	one, err := f.m.Restores(rookery.AccountID{}, 3)
	two, err2 := f.m.Restores(a, 3)
	if err != nil || err2 != nil || len(one) != keptRestores || len(two) != 1 || two[0].Account != b {
		t.Errorf("pages of %d and %d, %v %v", len(one), len(two), err, err2)
	}
}

// A restore and a move exclude one another.
func TestARestoreAndAMoveExcludeOneAnother(t *testing.T) {
	f, a, then := lost(t, 1)
	out := &command.MoveOut{Account: a, Move: oneMove, To: 3}
	f.unchanged(rookery.KindConflict, out)
	do[*command.Done](f, &command.EndRestore{Account: a, Job: oneRestore, Outcome: command.RestoreCancelled})
	turn := do[*command.MoveOutResult](f, out).Turn
	begin := &command.BeginRestore{Account: a, Job: command.RestoreID{2}}
	f.unchanged(rookery.KindConflict, begin)
	f.freeze(a, turn)
	f.unchanged(rookery.KindMoved, begin)
	f.unchanged(rookery.KindNotFound, restoreOf(a, then...))
	do[*command.Done](f, &command.MoveStop{Account: a, Move: oneMove})
	do[*command.Done](f, begin)
	f.unchanged(rookery.KindConflict, &command.MoveOut{Account: a, Move: oneMove + 1, To: 3})
	do[*command.Done](f, &command.EndRestore{Account: a, Job: command.RestoreID{2}, Outcome: command.RestoreDone})
	turn = do[*command.MoveOutResult](f, &command.MoveOut{Account: a, Move: oneMove + 1, To: 3}).Turn
	do[*command.Done](f, &command.MoveFreeze{Account: a, Move: oneMove + 1, Turn: turn})
	do[*command.Done](f, &command.MoveGone{Account: a, Move: oneMove + 1})
	f.unchanged(rookery.KindMoved, &command.BeginRestore{Account: a, Job: command.RestoreID{3}})
}

// An erased account is not restored, and nothing of its restores is left.
func TestAnErasureEndsARestore(t *testing.T) {
	f, a, then := lost(t, 2)
	f.restored(restoreOf(a, then[0]), 1, 0)
	do[*command.Done](f, &command.EraseAccount{Account: a})
	f.unchanged(rookery.KindNotFound, restoreOf(a, then...), &command.BeginRestore{Account: a, Job: oneRestore},
		&command.EndRestore{Account: a, Job: oneRestore, Outcome: command.RestoreDone})
	f.purge(f.clock)
	if left := f.of(a); len(left) > 0 {
		t.Errorf("rows left, by table: %v", left)
	}
	if p := f.pack("p1"); p.LiveBodies != 0 {
		t.Errorf("%+v", p)
	}
}

// A conversation that a token leads to by now is not moved.
func TestATokenThatLeadsSomewhereStays(t *testing.T) {
	f, a, then := lost(t, 1)
	f.deliver(a, 8, func(c *command.Deliver) { c.Deliveries[0].Threads = [][8]byte{{3}} })
	then[0].Thread, then[0].Tokens = rookery.ThreadID{9}, [][8]byte{{3}, {4}, {3}}
	f.restored(restoreOf(a, then[0]), 1, 0)
	f.deliver(a, 9, func(c *command.Deliver) { c.Deliveries[0].Threads = [][8]byte{{3}} })
	f.deliver(a, 10, func(c *command.Deliver) { c.Deliveries[0].Threads = [][8]byte{{4}} })
	rows := f.rows(a, Inbox)
	if rows[1].Thread != (rookery.ThreadID{9}) || rows[2].Thread != rookery.ThreadID(emailID(8)) || rows[3].Thread != (rookery.ThreadID{9}) {
		t.Errorf("%+v", rows)
	}
	f.lose(a)
	if n := f.tables()[tableToken]; n > 0 {
		t.Errorf("%d tokens are left", n)
	}
}
