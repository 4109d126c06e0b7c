package chaos

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
)

// cell is one account whose whole history is recorded and checked: three
// clients, each at another node, and deliveries. It lives for some seconds, so
// that its history stays small enough to be searched.
type cell struct {
	login string
	storm *storm
	base  int // at which member its clients begin

	mu       sync.Mutex
	history  []*entry
	wrong    []string
	validity [2]uint64
}

type entry struct {
	client     int
	in         input
	out        output
	call, ret  time.Time
	dead       bool // it certainly did not happen, or is no part of the history
	eventually bool // acknowledged, and may appear shortly after
}

func (c *cell) bad(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wrong) < 20 {
		c.wrong = append(c.wrong, c.login+": "+fmt.Sprintf(format, args...))
	}
}

// begin records that an operation is called; until finish it is unknown.
func (c *cell) begin(client int, in input) *entry {
	e := &entry{client: client, in: in, out: output{unknown: true}, call: time.Now()}
	c.mu.Lock()
	c.history = append(c.history, e)
	c.mu.Unlock()
	return e
}

// finish records how it ended: done, never happened, or still unknown.
func (c *cell) finish(e *entry, out output, err error, began bool) {
	ret := time.Now()
	var no refused
	outcome := "ok"
	c.mu.Lock()
	switch {
	case err == nil:
		e.out, e.ret = out, ret
	case !began:
		e.dead, outcome = true, "no"
	default:
		outcome = "unknown"
	}
	c.mu.Unlock()
	if errors.As(err, &no) && !no.temporary() {
		c.bad("%s refused: %s", kindNames[e.in.kind], no.line)
	}
	c.storm.count(kindNames[e.in.kind], outcome)
}

// client works through one node until ctx ends.
func (c *cell) client(ctx context.Context, n int, rnd *rand.Rand) {
	var s *session
	drop := func() {
		if s != nil {
			s.close()
			s = nil
		}
	}
	defer drop()
	for ctx.Err() == nil {
		if s == nil {
			var err error
			if s, err = c.connect(ctx, n); err != nil {
				s = nil
				pause(ctx, 200*time.Millisecond)
				continue
			}
		}
		if err := c.act(s, n, rnd); err != nil {
			var no refused
			if !errors.As(err, &no) {
				drop()
			}
		}
		pause(ctx, time.Duration(20+rnd.IntN(150))*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (c *cell) connect(ctx context.Context, n int) (*session, error) {
	s, err := dialIMAP(ctx, clientIP(c.storm.site.place(c.base+n)), c.login)
	if err == nil {
		if _, _, err = s.do("CREATE Box"); err != nil {
			var no refused
			if errors.As(err, &no) && len(no.line) > 18 && no.line[:18] == "NO [ALREADYEXISTS]" {
				return s, nil
			}
		}
	}
	var no refused
	if errors.As(err, &no) && !no.temporary() {
		c.bad("signing in: %s", no.line)
	}
	if err != nil && s != nil {
		s.close()
	}
	return s, err
}

// look records a listing.
func (c *cell) look(s *session, n, box int) (view, error) {
	e := c.begin(n, input{kind: opLook, box: box})
	v, done, err := s.look(box)
	c.finish(e, output{view: v}, err, false)
	if err != nil {
		return v, err
	}
	c.mu.Lock()
	e.ret = done
	if c.validity[box] == 0 {
		c.validity[box] = v.validity
	}
	same := c.validity[box] == v.validity
	c.mu.Unlock()
	if !same {
		c.bad("UIDVALIDITY of %s is now %d", boxNames[box], v.validity)
	}
	return v, nil
}

// act lists a mailbox and does one thing to what it saw.
func (c *cell) act(s *session, n int, rnd *rand.Rand) error {
	box := rnd.IntN(2)
	v, err := c.look(s, n, box)
	if err != nil {
		return err
	}
	x := rnd.IntN(100)
	if x < 20 && v.count < 25 || len(v.rows) == 0 {
		id, size := c.storm.id(), rnd.IntN(3000)
		c.storm.sent(id, size)
		e := c.begin(n, input{kind: opAppend, box: box, id: id})
		uid, sent, err := s.append(box, id, size)
		c.finish(e, output{uid: uid}, err, sent)
		return err
	}
	if x < 30 {
		return c.status(s, n, rnd.IntN(2))
	}
	r := v.rows[rnd.IntN(len(v.rows))]
	if x < 36 {
		return c.read(s, r)
	}
	in := input{box: box, uid: r.uid}
	command := ""
	switch {
	case x < 60:
		in.kind, in.add, in.flags = opStore, rnd.IntN(2) == 0, 2<<rnd.IntN(len(flagNames)-1)
		sign, since := "-", ""
		if in.add {
			sign = "+"
		}
		if rnd.IntN(2) == 0 && r.modseq <= v.high {
			in.since = r.modseq
			since = fmt.Sprintf("(UNCHANGEDSINCE %d) ", r.modseq)
		}
		command = fmt.Sprintf("UID STORE %d %s%sFLAGS (%s)", r.uid, since, sign, flagList(in.flags))
	case x < 75:
		in.kind = opMove
		command = fmt.Sprintf("UID MOVE %d %s", r.uid, boxNames[1-box])
	case x < 82 && v.count < 25:
		in.kind = opCopy
		command = fmt.Sprintf("UID COPY %d %s", r.uid, boxNames[1-box])
	default:
		in.kind, in.add, in.flags = opStore, true, deletedFlag
		if _, err := c.change(s, n, in, fmt.Sprintf("UID STORE %d +FLAGS.SILENT (\\Deleted)", r.uid)); err != nil {
			return err
		}
		in = input{kind: opExpunge, box: box, uid: r.uid}
		command = fmt.Sprintf("UID EXPUNGE %d", r.uid)
	}
	_, err = c.change(s, n, in, command)
	return err
}

func (c *cell) change(s *session, n int, in input, command string) (output, error) {
	e := c.begin(n, in)
	lines, ok, err := s.do("%s", command)
	var out output
	for _, l := range append(lines, ok) {
		if uid, found := find(copyRE, l, 3); found {
			out.uid = uint32(uid)
		}
	}
	out.modified = len(ok) > 12 && ok[:12] == "OK [MODIFIED"
	c.finish(e, out, err, true)
	return out, err
}

func (c *cell) status(s *session, n, box int) error {
	e := c.begin(n, input{kind: opStatus, box: box})
	lines, _, err := s.do("STATUS %s (MESSAGES UIDNEXT HIGHESTMODSEQ)", boxNames[box])
	var v view
	for _, l := range lines {
		for _, m := range statusRE.FindAllStringSubmatch(l, -1) {
			x, _ := find(statusRE, m[0], 2)
			switch m[1] {
			case "MESSAGES":
				v.count = int(x)
			case "UIDNEXT":
				v.next = uint32(x)
			case "HIGHESTMODSEQ":
				v.high = x
			}
		}
	}
	c.finish(e, output{view: v}, err, false)
	return err
}

// live lets clients work for a time, then has every node show the account, and
// checks the whole history.
func (c *cell) live(ctx context.Context, span time.Duration, seed uint64) {
	working, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	var wg sync.WaitGroup
	for n := range 3 {
		wg.Go(func() { c.client(working, n, rand.New(rand.NewPCG(seed, uint64(n)))) })
	}
	wg.Wait()
	c.storm.retire(c) // no more deliveries; waits for those under way
	c.finalLooks()
	c.check()
}

// finalLooks has every node show both mailboxes, and waits for the copies that
// may come after their 250.
func (c *cell) finalLooks() {
	for n := range c.storm.site.members() {
		deadline := time.Now().Add(c.storm.patience)
		for {
			err := c.finalLook(n)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				c.bad("node %d does not show all within %v: %v", n+1, c.storm.patience, err)
				return
			}
			pause(context.Background(), 300*time.Millisecond)
		}
	}
}

// finalWithin is how long a node may be away, with faults going on, before its
// silence is a fault of its own.
const finalWithin = 6 * time.Minute

func (c *cell) finalLook(n int) error {
	s, err := c.connect(context.Background(), n)
	if err != nil {
		return err
	}
	defer s.close()
	for box := range boxNames {
		if _, err := c.look(s, n, box); err != nil {
			return err
		}
	}
	if lost := c.unseen(); len(lost) > 0 {
		return fmt.Errorf("acknowledged and never seen: %v", lost)
	}
	return nil
}

// sight is the listing, answered before all others, that shows a message.
type sight struct {
	at  time.Time
	box int
	uid uint32
}

// firstSeen is each message's first sight. Who copies or moves a message has
// seen it, so that this shows it where it was filed, under its first UID.
func (c *cell) firstSeen() map[string]sight {
	seen := map[string]sight{}
	for _, e := range c.history {
		for _, r := range e.out.view.rows {
			if s, ok := seen[r.id]; !ok || e.ret.Before(s.at) {
				seen[r.id] = sight{e.ret, e.in.box, r.uid}
			}
		}
	}
	return seen
}

func (c *cell) unseen() (ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.firstSeen()
	for _, e := range c.history {
		if e.in.kind == opAppend && !e.dead && !e.out.unknown {
			if _, ok := seen[e.in.id]; !ok {
				ids = append(ids, e.in.id)
			}
		}
	}
	return ids
}

// operations makes the history that is checked. An attempt without an answer
// that a listing shows had happened by then; one that none shows is as good as
// never made: nobody else can name its UID. Listings without an answer say
// nothing.
func (c *cell) operations() (ops []porcupine.Operation, doubts int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.firstSeen()
	start := c.storm.start
	for i, e := range c.history {
		if e.dead || e.out.unknown && (e.in.kind == opLook || e.in.kind == opStatus) {
			continue
		}
		op := porcupine.Operation{ClientId: i, Input: e.in, Output: e.out, Call: int64(e.call.Sub(start)), Return: math.MaxInt64}
		first, shown := seen[e.in.id]
		if e.in.kind == opAppend && shown && e.out.uid == 0 && first.box == e.in.box {
			out := e.out
			out.uid = first.uid // SMTP tells none; it makes the search short
			op.Output = out
		}
		if !e.out.unknown && !e.eventually {
			op.Return = int64(e.ret.Sub(start))
			op.ClientId = e.client
		} else if e.in.kind == opAppend {
			if !shown {
				continue
			}
			op.Return = int64(first.at.Sub(start))
		}
		if op.Return == math.MaxInt64 {
			doubts++
		}
		ops = append(ops, op)
	}
	return ops, doubts
}

func (c *cell) check() {
	ops, doubts := c.operations()
	result, info := porcupine.CheckOperationsVerbose(accountModel, ops, 20*time.Second)
	c.storm.checked(len(ops), doubts, result)
	c.mu.Lock()
	wrong := c.wrong
	c.mu.Unlock()
	if result == porcupine.Illegal {
		path := fmt.Sprintf("%s/rookery-chaos-%d-%s.html", os.TempDir(), c.storm.seed, c.login)
		if err := porcupine.VisualizePath(accountModel, info, path); err != nil {
			path = err.Error()
		}
		wrong = append(wrong, fmt.Sprintf("%s: the history of %d operations is not linearizable; seen in %s%s", c.login, len(ops),
			path, around(ops, info)))
	}
	if len(wrong) > 0 {
		c.storm.fail(wrong)
	}
}

// around describes the operations where the longest explanation ends.
func around(ops []porcupine.Operation, info porcupine.LinearizationInfo) string {
	longest := 0
	var last []int
	for _, p := range info.PartialLinearizations() {
		for _, order := range p {
			if len(order) > longest {
				longest, last = len(order), order
			}
		}
	}
	done := map[int]bool{}
	for _, i := range last {
		done[i] = true
	}
	text := fmt.Sprintf("\n  %d of %d operations can be explained; the last of these, then the first that cannot:", longest, len(ops))
	for _, i := range last[max(0, len(last)-6):] {
		text += "\n    " + describe(ops[i])
	}
	left := 0
	for i, op := range ops {
		if !done[i] && left < 6 {
			left++
			text += "\n  ? " + describe(op)
		}
	}
	return text
}

func describe(op porcupine.Operation) string {
	return fmt.Sprintf("%.3f-%.3f client %d: %.600s", float64(op.Call)/1e9, min(float64(op.Return)/1e9, 1e6), op.ClientId,
		accountModel.DescribeOperation(op.Input, op.Output))
}

// storm is the load as a whole: cells that come and go, senders, and what was
// counted and found.
type storm struct {
	site     *site
	seed     uint64
	patience time.Duration
	life     time.Duration // of a cell
	start    time.Time
	ledger   *ledger
	actions  *actions
	added    atomic.Int64 // groups
	serial   atomic.Int64

	mu                                       sync.Mutex
	cells                                    []*cell
	busy                                     map[*cell]int // deliveries under way
	outcomes                                 map[string]map[string]int
	sizes                                    map[string]int // of texts, by the id of the message
	faults                                   map[string]int
	packs                                    map[string]bool // whether each that was seen is there
	pairs                                    int             // times that two were at once
	gets                                     int             // requests to the store by nodes, at the end
	texts                                    int             // compared with what was sent, at the end
	wrong                                    []string
	histories, operations, doubts, undecided int
	lastOK                                   time.Time
	longest                                  time.Duration
	longestAt                                string
	now                                      string // the faults of the moment
}

func newStorm(s *site, seed uint64) *storm {
	return &storm{site: s, seed: seed, patience: finalWithin, life: cellSpan, start: time.Now(), ledger: newLedger(),
		actions: &actions{count: map[string]map[string]int{}}, busy: map[*cell]int{}, outcomes: map[string]map[string]int{},
		sizes: map[string]int{}, faults: map[string]int{}, packs: map[string]bool{}, lastOK: time.Now()}
}

func (s *storm) id() string { return fmt.Sprintf("m%07d", s.serial.Add(1)) }

func (s *storm) count(what, outcome string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outcomes[what] == nil {
		s.outcomes[what] = map[string]int{}
	}
	s.outcomes[what][outcome]++
}

func (s *storm) fail(wrong []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) < 40 {
		s.wrong = append(s.wrong, wrong...)
	}
}

func (s *storm) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.wrong) > 0
}

func (s *storm) checked(ops, doubts int, r porcupine.CheckResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.histories++
	s.operations += ops
	s.doubts += doubts
	if r == porcupine.Unknown {
		s.undecided++
	}
}

// accepted notes a delivery for the longest time without one.
func (s *storm) accepted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if gap := time.Since(s.lastOK); gap > s.longest {
		s.longest, s.longestAt = gap, s.now
	}
	s.lastOK = time.Now()
}

func (s *storm) retire(c *cell) {
	s.mu.Lock()
	for i := range s.cells {
		if s.cells[i] == c {
			s.cells = append(s.cells[:i:i], s.cells[i+1:]...)
			break
		}
	}
	s.mu.Unlock()
	for {
		s.mu.Lock()
		n := s.busy[c]
		s.mu.Unlock()
		if n == 0 {
			return
		}
		pause(context.Background(), 50*time.Millisecond)
	}
}

// pick chooses up to n cells and holds them until release.
func (s *storm) pick(rnd *rand.Rand, n int) []*cell {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*cell
	for _, i := range rnd.Perm(len(s.cells)) {
		if len(out) < n {
			out = append(out, s.cells[i])
			s.busy[s.cells[i]]++
		}
	}
	return out
}

func (s *storm) release(cells []*cell) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range cells {
		s.busy[c]--
	}
}
