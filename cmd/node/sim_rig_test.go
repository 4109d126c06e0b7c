package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/smtp"
	"net/textproto"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/cluster/transport/transporttest"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/members"
	"rookery/cmd/node/settings"
	"rookery/directory/embedded"
	"rookery/storage/blob"
)

// sim is a cluster of whole nodes on a network and disks in memory, in a
// synctest bubble: its minutes take seconds. Keys, spools and the object store
// lie in a temporary directory: real files, which never wait for anything.
type sim struct {
	t      *testing.T
	net    *transporttest.Network
	dir    *embedded.Server
	nodes  []*simNode
	store  string
	ledger *ledger
	rng    *rand.Rand
}

// simNode is a machine: its disk stays when its power goes.
type simNode struct {
	*Node  // nil while it is off
	host   string
	cfg    settings.Node
	deps   Deps
	mem    *vfs.MemFS
	disk   *disk
	detour atomic.Pointer[detour]      // of its present life
	ahead  atomic.Int64                // of its clock: a duration
	dark   atomic.Pointer[atomic.Bool] // whether the power of its present life has gone
}

// simHost is the network as one machine has it.
type simHost struct {
	net  *transporttest.Network
	host string
}

// Listen implements Network: the administration socket gets a port.
func (h simHost) Listen(_ context.Context, network, address string) (net.Listener, error) {
	if network == "unix" {
		address = h.host + ":1"
	}
	return h.net.Listen(address), nil
}

// Dial implements Network.
func (h simHost) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	return h.net.Dialer(h.host+":0")(ctx, address)
}

// bubble runs a cluster of three in a bubble, with an account for everybody.
func bubble(t *testing.T, tune func(*tuning), run func(c *sim)) {
	t.Helper()
	if testing.Short() {
		t.Skip("skipped: simulates a whole cluster")
	}
	synctest.Test(t, func(t *testing.T) {
		c := &sim{t: t, net: transporttest.NewNetwork(), store: t.TempDir(), rng: rand.New(rand.NewPCG(1, 2))}
		// Last of all: sessions that wait for a quorum outlive their node's close
		// until the time of a commit is over.
		t.Cleanup(func() { time.Sleep(5 * time.Minute) })
		c.openDirectory()
		for k := range 3 {
			c.add(k, tune)
		}
		c.begin()
		run(c)
	})
	// Codecs kept for later belong to the bubble that made them: a collection
	// empties the pools they wait in, a second one what those kept back.
	runtime.GC()
	runtime.GC()
}

const simDirectory = "127.0.0.9"

func (c *sim) openDirectory() {
	c.t.Helper()
	h := simHost{c.net, simDirectory}
	s, err := embedded.Open(embedded.Options{Addr: simDirectory + ":389", Base: "dc=example,dc=test", AdminPassword: "secret",
		Listen: func(ctx context.Context, address string) (net.Listener, error) { return h.Listen(ctx, "tcp", address) }})
	if err != nil {
		c.t.Fatal(err)
	}
	c.dir = s
	c.t.Cleanup(func() { s.Close() })
	for i := range testPeople {
		if err := s.AddUser(embedded.User{UID: fmt.Sprintf("user%d", i), Mail: login(i), Password: "secret"}); err != nil {
			c.t.Fatal(err)
		}
	}
}

// add makes a machine that is off.
func (c *sim) add(k int, tune func(*tuning)) {
	x := &simNode{host: fmt.Sprintf("10.0.0.%d", k+1), cfg: testConfig(c.t), deps: testDeps(c.t, c.dir)}
	x.cfg.Name = fmt.Sprintf("node%d", k+1)
	x.cfg.Cluster = settings.Peering{Listen: x.host + ":7717", Advertise: x.host + ":7717"}
	x.cfg.Listen = settings.Listen{SMTP: []string{x.host + ":25"}, IMAPS: []string{x.host + ":993"},
		POP3S: []string{x.host + ":995"}, Submissions: []string{x.host + ":465"}}
	x.mem = emptyDisk(c.t, x.cfg.DataDir)
	x.deps.Network = simHost{c.net, x.host}
	x.deps.Clock = func() time.Time { return time.Now().Add(time.Duration(x.ahead.Load())) }
	x.deps.Create = k == 0
	x.deps.Settings.Store.Path = filepath.Join(c.store, "objects")
	x.deps.Logger = slog.New(slog.NewTextHandler(c.t.Output(), &slog.HandlerOptions{Level: slog.LevelError + 1}))
	if testing.Verbose() {
		x.deps.Logger = slog.New(slog.NewTextHandler(c.t.Output(), &slog.HandlerOptions{Level: slog.LevelError})).With("on", x.cfg.Name)
	}
	x.deps.tuning = tuning{segment: 1 << 20, logBudget: 8 << 20, memTable: 256 << 10, snapshots: 100, snapshotEvery: time.Second,
		trailing: 64 << 10, packAge: time.Second, apply: x.apply}
	if tune != nil {
		tune(&x.deps.tuning)
	}
	x.dark.Store(new(atomic.Bool))
	around := x.deps.tuning.store
	if around == nil {
		around = func(s blob.Store) blob.Store { return s }
	}
	x.deps.tuning.store = func(s blob.Store) blob.Store { return reached{around(s), x.dark.Load()} }
	backup := x.deps.tuning.backup
	if backup == nil {
		backup = func(s blob.Store) blob.Store { return s }
	}
	x.deps.tuning.backup = func(s blob.Store) blob.Store { return reached{backup(s), x.dark.Load()} }
	c.nodes = append(c.nodes, x)
	c.t.Cleanup(func() { c.off(x) })
}

// join makes the machine a node of the cluster that minted the token.
func (x *simNode) join(ctx context.Context, cfg settings.Node, token string, addresses []string) error {
	return datadir.Join(ctx, cfg, datadir.Joining{Token: token, Addresses: addresses, FS: x.mem, Dial: dialTCP(x.deps.Network)})
}

// begin makes one cluster of the machines, three replicas of everything.
func (c *sim) begin() {
	c.t.Helper()
	first := c.nodes[0]
	c.on(first)
	for _, x := range c.nodes[1:] {
		token, addresses, err := first.registry.MintToken(c.t.Context(), time.Hour)
		if err == nil {
			err = x.join(c.t.Context(), x.cfg, token, addresses)
		}
		if err != nil {
			c.t.Fatal(err)
		}
		c.on(x)
	}
	c.until(3*time.Minute, "every group has three voters", func() bool {
		for _, g := range append(members.FirstMail(), rookery.SystemGroup) {
			for _, x := range c.nodes {
				if r := x.groups.Group(g); r == nil || len(r.Servers()) != 3 || slices.ContainsFunc(r.Servers(), isLearner) {
					return false
				}
			}
		}
		return true
	})
	var ids []rookery.AccountID
	for i := range testPeople {
		id, err := settle(c.t.Context(), first.Node, i)
		if err != nil {
			c.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	c.ledger = newLedger(ids)
}

// on starts a machine.
func (c *sim) on(x *simNode) {
	c.t.Helper()
	x.disk = newDisk(x.mem, 0, nil)
	x.disk.lies.Store("")
	x.deps.FS = x.disk
	x.detour.Store(nil)
	n, err := Open(context.Background(), x.cfg, x.deps)
	if err != nil {
		c.t.Fatalf("%s does not start: %v", x.cfg.Name, err)
	}
	x.Node = n
}

// off stops a machine in order.
func (c *sim) off(x *simNode) {
	if x.Node == nil {
		return
	}
	n := x.Node
	x.Node = nil
	if err := closeWithin(n, 20*time.Second); err != nil {
		c.t.Logf("%s: %v", x.cfg.Name, err)
	}
}

// powerCut takes the power from machines at one instant: nothing that they say
// from then on is heard, and the disk keeps what was synced and some of the
// rest.
func (c *sim) powerCut(xs ...*simNode) {
	c.powerCutLeaving(func() int { return survivors(c.rng) }, xs...)
}

// powerCutLeaving is powerCut where it is given how many percent of the rest
// are kept.
func (c *sim) powerCutLeaving(percent func() int, xs ...*simNode) {
	for _, x := range xs {
		c.unplug(x)
	}
	for _, x := range xs {
		x.mem = x.disk.left(percent(), c.rng)
	}
	var wg sync.WaitGroup
	for _, x := range xs {
		n := x.Node
		x.Node = nil
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			n.Close(ctx) // a ghost: what it does is seen by nobody
		})
	}
	wg.Wait()
	for _, x := range xs {
		c.plug(x)
	}
}

// unplug makes a machine unheard, by the object store too: a ghost may do what
// rests on what its disk has lost.
func (c *sim) unplug(x *simNode) {
	c.net.Cut(x.host+":0", true)
	x.dark.Load().Store(true)
}

// plug gives a machine power for its next life.
func (c *sim) plug(x *simNode) {
	x.dark.Store(new(atomic.Bool))
	c.net.Cut(x.host+":0", false)
}

// until waits for something that must come true.
func (c *sim) until(within time.Duration, what string, is func() bool) {
	c.t.Helper()
	for end := time.Now().Add(within); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// applied is where a machine stands in each mail group that holds accounts.
func (c *sim) applied(x *simNode) map[rookery.GroupID]rookery.LogIndex {
	c.t.Helper()
	at := map[rookery.GroupID]rookery.LogIndex{}
	for _, p := range c.ledger.people {
		g, err := x.accounts.Group(c.t.Context(), p.account)
		if err != nil {
			c.t.Fatal(err)
		}
		at[g], _ = x.groups.Group(g).Machine().Applied()
	}
	return at
}

// catchesUp waits until a machine stands where the others do.
func (c *sim) catchesUp(x *simNode) {
	c.t.Helper()
	c.until(time.Minute, x.cfg.Name+" catches up", func() bool {
		for _, y := range c.nodes {
			for g, index := range c.applied(y) {
				if c.applied(x)[g] < index {
					return false
				}
			}
		}
		return true
	})
}

// part cuts a machine off from the others, and not from its clients.
func (c *sim) part(x *simNode, cut bool) {
	c.deafen(x, cut)
	c.mute(x, cut)
}

// mute loses what a machine says to the others; deafen what they say to it.
func (c *sim) mute(x *simNode, cut bool) {
	for _, y := range c.nodes {
		if y != x {
			c.net.Lose(x.host+":0", y.host+":0", cut)
		}
	}
}

func (c *sim) deafen(x *simNode, cut bool) {
	for _, y := range c.nodes {
		if y != x {
			c.net.Lose(y.host+":0", x.host+":0", cut)
		}
	}
}

// leader of a group, as most of the machines that run have it.
func (c *sim) leader(g rookery.GroupID) *simNode {
	for _, x := range c.nodes {
		if x.Node != nil && x.groups.Leads(g) {
			return x
		}
	}
	return nil
}

// load sends mail through every machine for a time, and counts the answers.
type load struct {
	mu        sync.Mutex
	temporary map[string]int // by host
	permanent []error
	acked     map[string]int
}

// send runs senders at every machine until the function returned is called.
func (c *sim) send(each int) (l *load, stop func()) {
	l = &load{temporary: map[string]int{}, acked: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, x := range c.nodes {
		for range each {
			s := &sender{ledger: c.ledger, rng: rand.New(rand.NewPCG(c.rng.Uint64(), 3))}
			wg.Go(func() { l.run(ctx, c.net, s, x.host) })
		}
	}
	return l, func() { cancel(); wg.Wait() }
}

// client is where test clients connect from.
const simClient = "10.9.9.9"

func (l *load) run(ctx context.Context, n *transporttest.Network, s *sender, host string) {
	for ctx.Err() == nil {
		err := l.session(ctx, n, s, host)
		if ctx.Err() != nil {
			return
		}
		var answer *textproto.Error
		l.mu.Lock()
		if errors.As(err, &answer) {
			if answer.Code >= 500 {
				l.permanent = append(l.permanent, err)
			} else {
				l.temporary[host]++
			}
		}
		l.mu.Unlock()
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (l *load) session(ctx context.Context, n *transporttest.Network, s *sender, host string) error {
	dial, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := n.Dialer(simClient+":0")(dial, netip.AddrPortFrom(netip.MustParseAddr(host), 25).String())
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	cl, err := smtp.NewClient(conn, "localhost")
	for err == nil {
		if err = s.send(cl); err == nil {
			l.mu.Lock()
			l.acked[host]++
			l.mu.Unlock()
			select {
			case <-time.After(400 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
	return err
}

// check judges every account on every machine that runs: all that was
// acknowledged is there, once, byte for byte, and the same on each.
func (c *sim) check() error {
	var broken []error
	for _, x := range c.nodes {
		if x.Node != nil {
			broken = append(broken, c.checkNode(x))
		}
	}
	if err := errors.Join(broken...); err != nil {
		return err
	}
	return c.ledger.settle()
}

func (c *sim) checkNode(x *simNode) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	ch := &chain{t: c.t}
	var err error
	for err = errBroken; err != nil; time.Sleep(100 * time.Millisecond) {
		if err = x.settled(ctx); err == nil || ctx.Err() != nil {
			break
		}
	}
	if err == nil {
		err = ch.quiet(ctx, x.Node)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", x.cfg.Name, err)
	}
	r := reader{c.ledger, x.accounts}
	var broken []error
	for _, p := range c.ledger.people {
		got, err := r.read(ctx, p, func(string) bool { return true })
		if err == nil {
			err = c.ledger.judge(p, got, true)
			c.ledger.learn(p, got)
		}
		if err != nil {
			broken = append(broken, fmt.Errorf("%s: %w", x.cfg.Name, err))
		}
	}
	return errors.Join(broken...)
}

// settled passes a barrier of each mail group.
func (x *simNode) settled(ctx context.Context) error {
	for _, id := range members.FirstMail() {
		if err := x.groups.Barrier(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (c *sim) mustCheck() {
	c.t.Helper()
	if err := c.check(); err != nil {
		c.t.Fatal(err)
	}
	acked, open := c.ledger.counts()
	c.t.Logf("%d messages acknowledged or filed, %d unanswered and nowhere", acked, open)
}

func (l *load) mustBeTemporary(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("acknowledged %v, temporary %v", l.acked, l.temporary)
	if len(l.permanent) > 0 {
		t.Errorf("answered with 5xx: %v", l.permanent[0])
	}
	if len(slices.Collect(maps.Keys(l.acked))) == 0 {
		t.Error("nothing was accepted")
	}
}
