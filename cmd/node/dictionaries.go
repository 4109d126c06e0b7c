package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/dictionary"
)

// dictionaries are the node's zstd dictionaries, open: those of the program and
// the site's own, which the system group replicates under the tenant key. It
// says which one new mail is compressed with, and finds those that stored mail
// names. It is account.Dictionaries.
type dictionaries struct {
	node    *Node
	current atomic.Pointer[body.Dictionary] // for new mail; nil is none
	changed chan struct{}                   // cap 1
	seeking singleflight.Group
	train   sync.Mutex  // one training at a time; only tried
	stale   atomic.Bool // a dictionary was sealed anew and its copy was not

	mu   sync.Mutex
	open map[rookery.DictionaryID]*body.Dictionary // at most system.MaxDictionaries and the built-in ones
}

func newDictionaries(n *Node) *dictionaries {
	return &dictionaries{node: n, changed: make(chan struct{}, 1), open: map[rookery.DictionaryID]*body.Dictionary{}}
}

// dictionaryGate is the version from which on every node reads what was
// compressed with a dictionary, and has the generic one.
var dictionaryGate = command.Introduced(command.TypeAddDictionary)

// seekWait bounds the search for a dictionary that the state here lacks.
const seekWait = 5 * time.Second

func (d *dictionaries) keys() *body.Keyring { return d.node.tenant.ring }

// Current is what new mail is compressed with, nil for none.
func (d *dictionaries) Current() *body.Dictionary { return d.current.Load() }

// Dictionary implements account.Dictionaries. One that is not in the state here
// is looked for behind a barrier, then beside the packs: the state may be
// behind, or a new one that was built on old packs.
func (d *dictionaries) Dictionary(ctx context.Context, id rookery.DictionaryID) (*body.Dictionary, error) {
	x, err := d.local(id)
	if err == nil || !rookery.Is(err, rookery.KindNotFound) {
		return x, err
	}
	found := d.seeking.DoChan(fmt.Sprint(id), func() (any, error) {
		ctx, cancel := context.WithTimeout(d.node.jobs, seekWait)
		defer cancel()
		return d.seek(ctx, id)
	})
	select {
	case r := <-found:
		if r.Err != nil {
			// The mail is there: what its dictionary's absence means is doubtful.
			return nil, rookery.E("find dictionary", rookery.KindUnavailable, r.Err)
		}
		return r.Val.(*body.Dictionary), nil
	case <-ctx.Done():
		return nil, rookery.E("find dictionary", rookery.KindUnavailable, ctx.Err())
	}
}

// local finds a dictionary without asking anybody. KindNotFound: it is not in
// the state here.
func (d *dictionaries) local(id rookery.DictionaryID) (*body.Dictionary, error) {
	d.mu.Lock()
	x := d.open[id]
	d.mu.Unlock()
	if x != nil {
		return x, nil
	}
	if b, ok := dictionary.BuiltIn(id); ok {
		x, err := body.NewDictionary(b)
		return d.keep(x), err
	}
	sealed, err := d.node.groups.system.SealedDictionary(id)
	if err != nil {
		return nil, err
	}
	x, err = d.keys().OpenDictionary(id, sealed)
	return d.keep(x), err
}

// keep keeps an open dictionary, unless another has been faster.
func (d *dictionaries) keep(x *body.Dictionary) *body.Dictionary {
	if x == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if have := d.open[x.ID()]; have != nil {
		return have
	}
	d.open[x.ID()] = x
	return x
}

func (d *dictionaries) seek(ctx context.Context, id rookery.DictionaryID) (*body.Dictionary, error) {
	barred := d.node.road.Barrier(ctx, rookery.SystemGroup)
	x, err := d.local(id)
	if err == nil || !rookery.Is(err, rookery.KindNotFound) {
		return x, err
	}
	objects, err := dictionary.Objects(ctx, d.node.bodies.store)
	for _, o := range objects {
		if o.ID != id {
			continue
		}
		var sealed []byte
		if sealed, err = dictionary.Sealed(ctx, d.node.bodies.store, o); err != nil {
			continue
		}
		if x, err = d.keys().OpenDictionary(id, sealed); err == nil {
			return d.keep(x), nil
		}
	}
	return nil, errors.Join(fmt.Errorf("dictionary %d is neither in the state here nor beside the packs", id), barred, err)
}

// refresh chooses what new mail is compressed with.
func (d *dictionaries) refresh() {
	x, err := d.choose()
	if err != nil {
		d.node.deps.Logger.Warn("new mail is compressed without the site's dictionary for now", "error", err)
	}
	if old := d.current.Swap(x); old.ID() != x.ID() {
		d.node.deps.Logger.Info("new mail is compressed with another dictionary", "dictionary", x.ID(), "before", old.ID())
	}
}

func (d *dictionaries) choose() (*body.Dictionary, error) {
	gate, err := d.node.groups.system.Gate()
	use := d.node.compression.Load().Dictionaries
	if err != nil || gate < dictionaryGate || use == settings.UseNone {
		return nil, err
	}
	if use == settings.UseSite {
		adopted, _, serr := d.node.groups.system.AdoptedDictionary()
		if adopted != 0 && serr == nil {
			var x *body.Dictionary
			if x, serr = d.local(adopted); serr == nil {
				return x, nil
			}
		}
		err = serr
	}
	x, gerr := d.local(dictionary.Generic)
	return x, errors.Join(err, gerr)
}

// Dictionaries implements system.DictionaryEvents.
func (n *Node) Dictionaries() {
	select {
	case n.dicts.changed <- struct{}{}:
	default:
	}
}

// follow keeps the choice current.
func (d *dictionaries) follow(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		d.refresh()
		select {
		case <-d.changed:
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
