package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/cmd/node/members"
	"rookery/cmd/node/settings"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// chain is a node that loses power again and again and is started each time
// with what is left of its disk.
type chain struct {
	t      *testing.T
	rng    *rand.Rand
	cfg    settings.Node
	deps   Deps
	mem    *vfs.MemFS
	ledger *ledger
	offset time.Duration // of the node's clock
	stats  chainStats
	// recovery is how many changes the last start has made.
	recovery int64
	// lies are the areas of the disk whose fsyncs do nothing, always or once
	// the node serves.
	lies, liesServing string
	// bare cuts leave nothing that was not synced.
	bare bool
	// dark is from just before a cut until the node is gone.
	dark atomic.Bool
	// also is what else goes on until the power goes; nil: nothing.
	also func(context.Context, *Node) error
}

type chainStats struct {
	atStart, inLoad, byTime int
	changes                 int64
	kinds                   map[string]int
	freed, items            uint64
	packed                  int
}

func newChain(t *testing.T, seed uint64) *chain {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: cuts the power of a node again and again")
	}
	dir := directoryServer(t)
	c := &chain{t: t, rng: rand.New(rand.NewPCG(seed, 1)), recovery: 100, cfg: testConfig(t), deps: testDeps(t, dir)}
	c.mem = emptyDisk(t, c.cfg.DataDir)
	c.deps.tuning.store = func(s blob.Store) blob.Store { return reached{s, &c.dark} }
	c.deps.Clock = func() time.Time { return time.Now().Add(c.offset) }
	c.stats.kinds = map[string]int{}
	return c
}

// reached is the object store, which is elsewhere: it keeps what it has
// answered, and nothing that a node without power asks for reaches it.
type reached struct {
	blob.Store
	dark *atomic.Bool
}

var errNoPower = rookery.E("reach object store", rookery.KindUnavailable, errors.New("the power is off"))

func (r reached) Put(ctx context.Context, key string, body io.Reader, size int64, o blob.PutOptions) error {
	if r.dark.Load() {
		return errNoPower
	}
	return r.Store.Put(ctx, key, body, size, o)
}

func (r reached) Delete(ctx context.Context, keys ...string) error {
	if r.dark.Load() {
		return errNoPower
	}
	return r.Store.Delete(ctx, keys...)
}

// begin starts the node for the first time, without a power cut, and makes
// everyone an account.
func (c *chain) begin() error {
	c.deps.FS = c.mem
	n, err := Open(c.t.Context(), c.cfg, c.deps)
	if err != nil {
		return err
	}
	var ids []rookery.AccountID
	groups := map[rookery.GroupID]bool{}
	for i := range testPeople {
		id, err := settle(c.t.Context(), n, i)
		if err != nil {
			return errors.Join(err, closeTest(n))
		}
		g, err := n.accounts.Group(c.t.Context(), id)
		if err != nil {
			return errors.Join(err, closeTest(n))
		}
		groups[g] = true
		ids = append(ids, id)
	}
	if len(groups) < 2 {
		return errors.Join(errors.New("all accounts are in one group: nothing is owed to further groups"), closeTest(n))
	}
	c.ledger = newLedger(ids)
	return errors.Join(c.check(n, true), closeTest(n))
}

// settle makes a person an account, the next one in the next mail group: by
// chance all could live in one, and nothing would be owed to further groups.
func settle(ctx context.Context, n *Node, i int) (rookery.AccountID, error) {
	a, err := rookery.ParseAddress(login(i))
	if err != nil {
		return rookery.AccountID{}, err
	}
	e, err := n.people.Recipient(ctx, a)
	if err != nil {
		return rookery.AccountID{}, err
	}
	to := members.FirstMail()[i%members.FirstGroups]
	if _, err := n.groups.ProposeSystem(ctx,
		&command.EnsureAccount{DirectoryKey: e.Key, Account: rookery.NewAccountID(), Group: to}); err != nil {
		return rookery.AccountID{}, err
	}
	return ensure(ctx, n, login(i))
}

func ensure(ctx context.Context, n *Node, address string) (rookery.AccountID, error) {
	a, err := rookery.ParseAddress(address)
	if err != nil {
		return rookery.AccountID{}, err
	}
	e, err := n.people.Recipient(ctx, a)
	if err != nil {
		return rookery.AccountID{}, err
	}
	return n.accounts.Ensure(ctx, e.Owner(), 0)
}

// cycle starts the node on what the last power cut left, checks it, loads it,
// and cuts the power before the change of the disk that it is told.
func (c *chain) cycle(cutAt int64) (err error) {
	cut := make(chan struct{})
	var d *disk
	var left *vfs.MemFS
	percent, dice := survivors(c.rng), rand.New(rand.NewPCG(c.rng.Uint64(), 2))
	if c.bare {
		percent = 0
	}
	power := func() {
		c.ledger.mu.Lock()
		defer c.ledger.mu.Unlock()
		if !c.ledger.off {
			c.dark.Store(true) // first: what the store is still asked for rests on what is left
			left = d.left(percent, dice)
			c.ledger.off = true
			close(cut)
		}
	}
	d = newDisk(c.mem, cutAt, power)
	d.lies.Store(c.lies)
	c.deps.FS = d
	c.offset += 20 * time.Second // items of the life before are old enough to be taken over
	n, err := Open(c.t.Context(), c.cfg, c.deps)
	if err != nil {
		return err
	}
	d.lies.Store(c.lies + c.liesServing)
	select {
	case <-cut:
		c.stats.atStart++
	default:
		c.recovery = d.changes.Load()
		if err = c.check(n, false); err == nil {
			err = c.load(n, cut, power)
		}
	}
	power() // where the check failed
	c.count(n, d)
	err = errors.Join(err, closeTest(n))
	c.mem, c.ledger.off = left, false
	c.dark.Store(false)
	return err
}

func (c *chain) count(n *Node, d *disk) {
	c.stats.changes += d.changes.Load()
	c.stats.freed += uint64(n.groups.Log().Stats().Freed)
	for _, m := range n.machines() {
		if packs, err := m.Packs("", 1000); err == nil {
			c.stats.packed = max(c.stats.packed, len(packs))
		}
	}
	d.mu.Lock() // not over the reads above: they wait for compactions, which write here
	defer d.mu.Unlock()
	for k, v := range d.kinds {
		c.stats.kinds[k] += v
	}
}

// loadTime is when the power goes at the latest.
const loadTime = 1500 * time.Millisecond

// load runs senders and clients until the power goes.
func (c *chain) load(n *Node, cut <-chan struct{}, power func()) error {
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	var run []func(context.Context) error
	for range 3 {
		s := &sender{ledger: c.ledger, addr: n.Addrs()["smtp"][0], rng: rand.New(rand.NewPCG(c.rng.Uint64(), 3))}
		run = append(run, s.run)
	}
	for _, p := range c.ledger.people {
		cl := &client{reader: reader{c.ledger, n.accounts}, p: p, deliver: n.deliver, rng: rand.New(rand.NewPCG(c.rng.Uint64(), 4))}
		run = append(run, cl.run)
	}
	if c.also != nil {
		run = append(run, func(ctx context.Context) error { return c.also(ctx, n) })
	}
	errs := make(chan error, len(run))
	for _, fn := range run {
		go func() { errs <- fn(ctx) }()
	}
	var all []error
	left := len(run)
	select {
	case <-cut:
		c.stats.inLoad++
	case <-time.After(loadTime):
		c.stats.byTime++
		power()
	case err := <-errs:
		left--
		all = append(all, fmt.Errorf("before the power went: %w", err))
		power()
	}
	cancel()
	for range left {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// check compares everything with the ledger, once the node has finished what
// the life before it left.
func (c *chain) check(n *Node, bodies bool) error {
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	if err := c.quiet(ctx, n); err != nil {
		return err
	}
	var broken []error
	r := reader{c.ledger, n.accounts}
	for _, p := range c.ledger.people {
		got, err := r.read(ctx, p, func(id string) bool {
			first := !p.verified[id]
			p.verified[id] = true
			return bodies || first || c.rng.IntN(10) == 0
		})
		if err != nil {
			broken = append(broken, fmt.Errorf("%s: %w", login(p.number), err))
			continue
		}
		if err := c.ledger.answer(func() error {
			err := c.ledger.judge(p, got, true)
			c.ledger.learn(p, got)
			return err
		}); err != nil {
			broken = append(broken, err)
		}
	}
	if len(broken) == 0 {
		broken = append(broken, c.ledger.answer(c.ledger.settle))
	}
	return errors.Join(broken...)
}

// quiet waits until no message is owed to further groups.
func (c *chain) quiet(ctx context.Context, n *Node) error {
	for {
		open := 0
		for _, m := range n.machines() {
			items, err := m.OpenItems(command.ItemID{}, 100)
			if err != nil {
				return err
			}
			open += len(items)
		}
		if open == 0 {
			return nil
		}
		c.stats.items++
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%w: %d messages are still owed to further groups", errBroken, open)
		}
	}
}

// cutAt chooses the change of the disk before which the power goes: in the
// recovery from the last cut, soon after it, or at any time.
func (c *chain) cutAt() int64 {
	switch c.rng.IntN(4) {
	case 0:
		return 1 + c.rng.Int64N(c.recovery)
	case 1:
		return c.recovery + c.rng.Int64N(200)
	default:
		return c.recovery + c.rng.Int64N(1500)
	}
}

// TestPowerCut cuts the power under a whole node while mail comes in and
// clients change it, again and again on what the last cut left. Everything
// acknowledged must be there exactly once, as it was acknowledged; what was
// not acknowledged at most once; UIDs, UIDNEXT and MODSEQ only rise, a UID
// names one message for ever, and each text is that which was sent.
// ROOKERY_CUTS sets the number of cuts, ROOKERY_SEED where they fall.
func TestPowerCut(t *testing.T) {
	cuts, seed := number(t, "ROOKERY_CUTS", 40), uint64(number(t, "ROOKERY_SEED", int(time.Now().UnixNano()&0x7fffffff)))
	t.Logf("%d cuts, ROOKERY_SEED=%d", cuts, seed)
	c := newChain(t, seed)
	if err := c.begin(); err != nil {
		t.Fatal(err)
	}
	c.cuts(cuts, func() bool {
		acked, open := c.ledger.counts()
		return acked >= 2*cuts && c.stats.inLoad+c.stats.byTime >= cuts/3 && open > 0
	})
	c.finish()
	acked, open := c.ledger.counts()
	s := c.stats
	t.Logf("%d cuts at start, %d under load, %d by time; %d changes of the disk %v", s.atStart, s.inLoad, s.byTime, s.changes, s.kinds)
	t.Logf("%d messages acknowledged, %d not; waited %d times for the queue; up to %d packs; %d segments freed", acked, open,
		s.items, s.packed, s.freed)
}

// cuts cuts the power that many times, and where the machine is so busy that
// not enough happened between them, up to ten times as often.
func (c *chain) cuts(n int, enough func() bool) {
	c.t.Helper()
	for i := 0; i < n || !enough(); i++ {
		if i == 10*n {
			c.t.Fatalf("%d cuts hit too little: %+v", i, c.stats)
		}
		at := c.cutAt()
		if err := c.cycle(at); err != nil {
			c.t.Fatalf("cut %d, before change %d: %v", i, at, err)
		}
	}
}

// finish starts the node on the last disk, reads everything in whole, and
// again after an ordinary stop, then over IMAP.
func (c *chain) finish() {
	c.t.Helper()
	c.deps.FS = c.mem
	for range 2 {
		c.offset += 20 * time.Second
		n, err := Open(c.t.Context(), c.cfg, c.deps)
		if err != nil {
			c.t.Fatal(err)
		}
		err = c.check(n, true)
		for _, p := range c.ledger.people {
			err = errors.Join(err, c.compareIMAP(n, p))
		}
		if err = errors.Join(err, closeTest(n)); err != nil {
			c.t.Fatal("at the end: ", err)
		}
	}
}

func (c *chain) compareIMAP(n *Node, p *person) error {
	conn, err := tls.Dial("tcp", n.Addrs()["imaps"][0], &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	got, err := imapReads(conn, login(p.number))
	if err != nil {
		return err
	}
	want := map[rookery.UID]string{}
	for id, at := range p.rows {
		if at.box == mailbox.Inbox {
			want[at.uid] = id
		}
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("%w: %s: IMAP shows %v, want %v", errBroken, login(p.number), got, want)
	}
	return nil
}

// The test above must fail on a disk whose fsync does nothing, from the
// beginning or once the node serves, whether or not some of it arrives; also
// where only the state is not synced before the log is truncated.
func TestPowerCutCatchesMissingSync(t *testing.T) {
	for name, mutant := range map[string]struct {
		lies, serving string
		bare, damage  bool
		cutAt         int64
	}{
		"always, nothing arrives":               {lies: "log state", bare: true, cutAt: 400},
		"while serving, nothing arrives":        {serving: "log state", bare: true, cutAt: 400},
		"while serving, some arrives":           {serving: "log state", damage: true, cutAt: 400},
		"the log while serving":                 {serving: "log", bare: true, damage: true, cutAt: 400},
		"the state, below which the log is cut": {lies: "state", bare: true, damage: true, cutAt: 3000},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChain(t, 7)
			c.deps.Logger = nil // it is full of damage
			if err := c.begin(); err != nil {
				t.Fatal(err)
			}
			c.lies, c.liesServing, c.bare = mutant.lies, mutant.serving, mutant.bare
			for i := range 20 {
				err := c.cycle(mutant.cutAt)
				switch {
				case err == nil:
					continue
				case errors.Is(err, errBroken), mutant.damage && rookery.Is(err, rookery.KindDamaged):
					t.Logf("cut %d: %.400v", i, err)
				default:
					t.Errorf("cut %d: neither a broken promise nor damage: %v", i, err)
				}
				return
			}
			t.Error("fsync was taken out and nothing noticed")
		})
	}
}

func number(t *testing.T, env string, def int) int {
	t.Helper()
	s := os.Getenv(env)
	if s == "" {
		return def
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s=%q is not a number", env, s)
	}
	return n
}
