// Package accounttest is storage without a cluster, for tests: real state in
// memory, real machines, real keys, and a log that agrees with itself at once.
// It stands in for consensus and the log only.
package accounttest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"rookery"
	"rookery/storage/account"
	"rookery/storage/blob"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
	"rookery/storage/pack"
	"rookery/storage/pack/read"
	"rookery/storage/propose"
	"rookery/storage/queue"
	"rookery/storage/state"
	"rookery/storage/state/statetest"
	"rookery/storage/system"
)

// Options adjust a Node. All may be left out.
type Options struct {
	Groups   []rookery.GroupID // mail groups; default 2 and 3
	Blobs    blob.Store        // object store bodies are read from
	Cache    *read.Cache
	Remote   pack.LogReader                                 // the log of another replica
	Unpacked func(rookery.GroupID, rookery.LogIndex, int64) // see mailbox.Events
	Queued   func(rookery.GroupID, []queue.Due)             // see mailbox.QueueEvents
	// Before sees every command on its way in and may refuse it; After sees it
	// once it is applied and may lose the answer.
	Before, After func(rookery.GroupID, command.Command) error
	Clock         func() time.Time
	MaxCached     int
}

// Node is one node's storage. It is an account.Log.
type Node struct {
	Store  *account.Store
	Keys   *keys.Keyring
	Bodies *read.Bodies
	System *system.Machine
	Groups []rookery.GroupID

	o     Options
	state *state.Store

	mu       sync.Mutex
	groups   map[rookery.GroupID]*group
	machines map[rookery.GroupID]*mailbox.Machine
}

var _ account.Log = (*Node)(nil)

type group struct {
	state   *state.Group
	seq     uint64
	entries map[rookery.LogIndex][]byte
}

// Open makes a node that ends with the test.
func Open(t testing.TB, o Options) *Node {
	t.Helper()
	if o.Groups == nil {
		o.Groups = []rookery.GroupID{2, 3}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	logger := slog.New(slog.DiscardHandler)
	n := &Node{o: o, state: statetest.Open(t), Keys: keys.GenerateKeyring(), Groups: o.Groups,
		groups: map[rookery.GroupID]*group{}, machines: map[rookery.GroupID]*mailbox.Machine{}}
	n.add(t, rookery.SystemGroup, func(g *state.Group) state.Machine { n.System = system.New(nil)(g); return n.System })
	for _, id := range o.Groups {
		n.add(t, id, func(g *state.Group) state.Machine {
			n.machines[id] = mailbox.New(&events{n, id})(g)
			return n.machines[id]
		})
	}
	n.Bodies = read.New(read.Options{Log: n.ReadLog, Remote: o.Remote, Body: n.body, Pack: n.pack, Store: o.Blobs, Cache: o.Cache,
		Logger: logger})
	t.Cleanup(n.Bodies.Close)
	n.Store = account.New(account.Options{Log: n, Machine: n.Machine, System: n.System, Keys: n.Keys, Bodies: n.Bodies,
		Groups: func() []rookery.GroupID { return o.Groups }, Logger: logger, Clock: o.Clock, MaxCached: o.MaxCached})
	return n
}

func (n *Node) body(group rookery.GroupID, id mailbox.BodyID) (mailbox.Body, error) {
	return n.machines[group].Body(id)
}

func (n *Node) pack(group rookery.GroupID, id command.PackID) (mailbox.Pack, error) {
	return n.machines[group].Pack(id)
}

func (n *Node) add(t testing.TB, id rookery.GroupID, make func(*state.Group) state.Machine) {
	t.Helper()
	g, err := n.state.Group(id, make)
	if err != nil {
		t.Fatal(err)
	}
	n.groups[id] = &group{state: g, entries: map[rookery.LogIndex][]byte{}}
}

type events struct {
	n  *Node
	id rookery.GroupID
}

func (e *events) Changed(a rookery.AccountID, m rookery.MailboxID, s rookery.ModSeq) {
	if e.n.Store != nil {
		e.n.Store.Changed(a, m, s)
	}
}

func (e *events) KeyChanged(rookery.AccountID) {
	if e.n.Store != nil {
		e.n.Store.KeysChanged()
	}
}

func (e *events) Unpacked(b mailbox.BodyID, bytes int64) {
	if e.n.o.Unpacked != nil {
		e.n.o.Unpacked(e.id, b, bytes)
	}
}

func (e *events) Queued(rows []queue.Due) {
	if e.n.o.Queued != nil {
		e.n.o.Queued(e.id, rows)
	}
}

// Machine is a mail group's machine, nil for other groups.
func (n *Node) Machine(id rookery.GroupID) *mailbox.Machine { return n.machines[id] }

// Apply implements account.Log: the command is applied when it returns.
func (n *Node) Apply(ctx context.Context, id rookery.GroupID, cmd []byte) (rookery.LogIndex, []byte, error) {
	if err := ctx.Err(); err != nil {
		return 0, nil, rookery.E("apply", rookery.KindUnknown, err)
	}
	c, _, err := command.Decode(cmd)
	if err != nil {
		return 0, nil, err
	}
	if n.o.Before != nil {
		if err := n.o.Before(id, c); err != nil {
			return 0, nil, err
		}
	}
	index, result := n.apply(id, cmd)
	if n.o.After != nil {
		if err := n.o.After(id, c); err != nil {
			return 0, nil, err
		}
	}
	return index, result, nil
}

func (n *Node) apply(id rookery.GroupID, cmd []byte) (rookery.LogIndex, []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	g := n.groups[id]
	g.seq++
	entry := state.Wrap(state.Header{Node: "test", Epoch: 1, Seq: g.seq, Low: g.seq, Time: n.o.Clock().UnixNano()}, cmd)
	index := rookery.LogIndex(g.seq)
	g.entries[index] = entry
	return index, bytes.Clone(g.state.Apply([]rookery.Entry{{Index: index, Term: 1, Data: entry}})[0])
}

// Propose applies a command for a packer.
func (n *Node) Propose(ctx context.Context, id rookery.GroupID, c command.Command) error {
	_, _, err := propose.Command(ctx, n, id, c)
	return err
}

// Barrier implements account.Log.
func (n *Node) Barrier(ctx context.Context, _ rookery.GroupID) error { return ctx.Err() }

// Wait implements account.Log.
func (n *Node) Wait(ctx context.Context, _ rookery.GroupID, _ rookery.LogIndex) error {
	return ctx.Err()
}

// Applied is the group's last index.
func (n *Node) Applied(id rookery.GroupID) rookery.LogIndex {
	index, _ := n.groups[id].state.Applied()
	return index
}

// ReadLog is a pack.LogReader.
func (n *Node) ReadLog(ctx context.Context, id rookery.GroupID, index rookery.LogIndex, _ uint64, p []byte, off int64) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	e, ok := n.groups[id].entries[index]
	if !ok {
		return rookery.E("read log", rookery.KindNotFound, errors.New("the entry is gone"))
	}
	if off < 0 || off+int64(len(p)) > int64(len(e)) {
		return rookery.E("read log", rookery.KindInvalid, errors.New("the range is outside the entry"))
	}
	copy(p, e[off:])
	return nil
}

// Entries are a group's log from its first entry on, without those dropped.
func (n *Node) Entries(id rookery.GroupID) (entries [][]byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	g := n.groups[id]
	for i := rookery.LogIndex(1); i <= rookery.LogIndex(g.seq); i++ {
		entries = append(entries, g.entries[i])
	}
	return entries
}

// State is a group's state.
func (n *Node) State(id rookery.GroupID) *state.Group { return n.groups[id].state }

// Drop forgets the log's entries below floor.
func (n *Node) Drop(id rookery.GroupID, floor rookery.LogIndex) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.groups[id].entries {
		if i < floor {
			delete(n.groups[id].entries, i)
		}
	}
}

// Account makes and opens the account of a directory key.
func (n *Node) Account(t testing.TB, key string) *account.Account {
	t.Helper()
	id, err := n.Store.Ensure(t.Context(), rookery.Owner{Key: key}, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, err := n.Store.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Deliver files a message in an account's mailbox (0: INBOX) as a delivery
// does, staging what does not fit one entry.
func (n *Node) Deliver(t testing.TB, a *account.Account, m rookery.MailboxID, message []byte) command.Filed {
	t.Helper()
	key, err := a.Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mk, email := keys.NewMessageKey(), rookery.NewEmailID()
	var encoded []byte
	e, err := body.Encode(t.Context(), bytes.NewReader(message), mk, func(c []byte) error { encoded = append(encoded, c...); return nil })
	if err != nil {
		t.Fatal(err)
	}
	layout, err := e.Layout.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	c := &command.Deliver{Email: email, Size: e.Size, Extract: e.Sealed, Layout: layout, Payload: encoded,
		Deliveries: []command.Delivery{{Account: a.ID(), Mailbox: m, WrappedKey: key.WrapMessage(email, mk),
			Threads: body.ThreadTokens(e.Extract, key)}}}
	if len(encoded) > command.MaxChunk {
		c.Payload, c.Staged = nil, n.stage(t, a.Group(), encoded)
	}
	r, _, err := a.Apply(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	f := r.(*command.DeliverResult).Filed[0]
	if err := f.Err(); err != nil {
		t.Fatal(err)
	}
	return f
}

func (n *Node) stage(t testing.TB, id rookery.GroupID, encoded []byte) *command.Staged {
	t.Helper()
	n.mu.Lock()
	s := &command.Staged{Stage: command.StageID{Node: "test", Epoch: 1, N: n.groups[id].seq}}
	n.mu.Unlock()
	for ; len(encoded) > 0; s.Parts++ {
		k := min(len(encoded), command.MaxChunk)
		if err := n.Propose(t.Context(), id, &command.Stage{Stage: s.Stage, Part: s.Parts, Payload: encoded[:k]}); err != nil {
			t.Fatal(err)
		}
		encoded = encoded[k:]
	}
	return s
}
