package gossip

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"rookery"
)

// table is what is known of the other members. memberlist calls it with its
// own lock held, so it neither blocks nor calls back; its own list is not
// used because it hands out what it still changes.
type table struct {
	self   rookery.NodeID
	admit  func(rookery.NodeID) bool
	tell   func(Event)
	logger *slog.Logger

	mu      sync.Mutex
	known   map[rookery.NodeID]*entry
	pending []Event
	wake    chan struct{} // cap 1
}

type entry struct {
	Member
	packets string // where pings go
	leaving bool
	asking  bool
}

func newTable(o Options) *table {
	return &table{self: o.Self.Node, admit: o.Admit, tell: o.Events, logger: o.Logger,
		known: map[rookery.NodeID]*entry{}, wake: make(chan struct{}, 1)}
}

func (t *table) members() []Member {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]Member, 0, len(t.known))
	for _, e := range t.known {
		if t.admit == nil || t.admit(e.Node) { // removed ones fade out by themselves
			all = append(all, e.Member)
		}
	}
	slices.SortFunc(all, func(a, b Member) int { return cmp.Compare(a.Node, b.Node) })
	return all
}

// event queues one. t.mu is held.
func (t *table) event(kind EventKind, m Member) {
	if t.tell == nil {
		return
	}
	t.pending = append(t.pending, Event{kind, m})
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// report tells events until stop.
func (t *table) report(stop <-chan struct{}) {
	for {
		t.mu.Lock()
		events := t.pending
		t.pending = nil
		t.mu.Unlock()
		for _, e := range events {
			t.tell(e)
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-t.wake:
		case <-stop:
			return
		}
	}
}

// NotifyAlive is memberlist's: an error drops the message.
func (t *table) NotifyAlive(n *memberlist.Node) error {
	if rookery.NodeID(n.Name) == t.self {
		return nil
	}
	if t.admit != nil && !t.admit(rookery.NodeID(n.Name)) {
		return fmt.Errorf("node %.100q is not a registered member", n.Name)
	}
	_, _, err := decodeMeta(n.Name, n.Meta)
	return err
}

// NotifyJoin is memberlist's.
func (t *table) NotifyJoin(n *memberlist.Node) { t.put(n, Joined) }

// NotifyUpdate is memberlist's.
func (t *table) NotifyUpdate(n *memberlist.Node) { t.put(n, Updated) }

func (t *table) put(n *memberlist.Node, kind EventKind) {
	m, leaving, err := decodeMeta(n.Name, n.Meta)
	if err != nil || m.Node == t.self { // NotifyAlive has seen to the first
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.known[m.Node]
	if e == nil {
		kind = Joined
		e = &entry{}
		t.known[m.Node] = e
		m.Heard = time.Now()
	} else {
		m.Suspect, m.Heard, m.Mute = e.Suspect, e.Heard, e.Mute
	}
	e.Member, e.leaving, e.packets = m, leaving, n.Address()
	if !leaving {
		t.event(kind, m)
	}
}

// NotifyLeave is memberlist's. Who said before that it leaves has left.
func (t *table) NotifyLeave(n *memberlist.Node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.known[rookery.NodeID(n.Name)]
	if e == nil {
		return
	}
	delete(t.known, e.Node)
	if e.leaving {
		t.event(Left, e.Member)
	} else {
		t.event(Failed, e.Member)
	}
}

// AckPayload is memberlist's: answers carry nothing.
func (t *table) AckPayload() []byte { return nil }

// NotifyPingComplete is memberlist's: a node has answered.
func (t *table) NotifyPingComplete(n *memberlist.Node, _ time.Duration, _ []byte) {
	t.heard(rookery.NodeID(n.Name), false)
}

// heard notes an answer; mute is that it came by another way than packets.
func (t *table) heard(node rookery.NodeID, mute bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.known[node]
	if e == nil {
		return
	}
	e.Heard, e.Mute = time.Now(), mute
	if e.Suspect {
		e.Suspect = false
		t.event(Recovered, e.Member)
	}
}

// NotifyConflict is memberlist's: one id at two addresses.
func (t *table) NotifyConflict(existing, other *memberlist.Node) {
	t.logger.Error("two nodes say that they are the same one; was a data directory copied?",
		"node", existing.Name, "address", existing.Address(), "other", other.Address())
}

// question is a node to be asked whether it lives.
type question struct {
	node    rookery.NodeID
	packets string
}

// quiet gives the nodes not heard of since a time and marks those as suspect
// that were not heard of since an earlier one.
func (t *table) quiet(since, suspect time.Time) (ask []question) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.known {
		if e.Heard.After(since) {
			continue
		}
		if !e.Suspect && e.Heard.Before(suspect) {
			e.Suspect = true
			t.event(Suspect, e.Member)
		}
		if !e.asking {
			e.asking = true
			ask = append(ask, question{e.Node, e.packets})
		}
	}
	return ask
}

func (t *table) asked(node rookery.NodeID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.known[node]; e != nil {
		e.asking = false
	}
}
