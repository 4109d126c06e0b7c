package node

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/storage/command"
	"rookery/storage/dictionary"
)

const (
	// dictionaryEvery is how often the system group's leader looks after the
	// dictionaries.
	dictionaryEvery = time.Minute
	// firstTraining is how long a leader waits before it first trains, and
	// between attempts while there is no dictionary of the site yet.
	firstTraining = 6 * time.Hour
	// copiesEvery is how often the copies beside the packs are looked at.
	copiesEvery = time.Hour
)

// lead is what the system group's leader does for all: it brings a dictionary
// that was trained into use, keeps the copies beside the packs, seals anew what
// an old tenant key seals, and trains from time to time.
func (d *dictionaries) lead(ctx context.Context) error {
	tick := time.NewTicker(dictionaryEvery)
	defer tick.Stop()
	next := d.node.deps.Clock().Add(firstTraining)
	var copied time.Time
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if gate, err := d.node.groups.system.Gate(); err != nil || gate < dictionaryGate || !d.node.groups.leads(rookery.SystemGroup) {
			continue
		}
		err := errors.Join(d.adopt(ctx), d.reseal(ctx))
		now := d.node.deps.Clock()
		if d.stale.Load() || now.Sub(copied) > copiesEvery {
			cerr := d.copies(ctx)
			if err = errors.Join(err, cerr); cerr == nil {
				copied = now
			}
		}
		if now.After(next) {
			next = now.Add(firstTraining)
			if d.due(now) {
				_, terr := d.trainNow(ctx)
				err = errors.Join(err, terr)
			}
		}
		if err != nil && ctx.Err() == nil {
			d.node.deps.Logger.Info("dictionaries are not all in order; trying again", "error", err)
		}
	}
}

// due reports whether it is time to train: the newest dictionary is old enough.
func (d *dictionaries) due(now time.Time) bool {
	c := d.node.compression.Load()
	all, err := d.node.groups.system.Dictionaries()
	if err != nil || c.Dictionaries != settings.UseSite {
		return false
	}
	return len(all) == 0 || now.Sub(time.Unix(0, all[len(all)-1].Trained)) > time.Duration(c.TrainDays)*24*time.Hour
}

// callDictionary asks a node whether it can read with a dictionary.
const callDictionary = "dictionary"

// dictionaryWait bounds one node's answer: it may have to catch up first.
const dictionaryWait = 5 * time.Second

func (n *Node) serveDictionaries() {
	n.mesh.Handle(callDictionary, func(ctx context.Context, _ rookery.NodeID, b []byte) ([]byte, error) {
		var id rookery.DictionaryID
		if err := cbor.Unmarshal(b, &id); err != nil {
			return nil, rookery.E(callDictionary, rookery.KindInvalid, err)
		}
		return nil, n.dicts.ready(ctx, id)
	})
	n.mesh.handleGroup(callDictionaryUse, n.dictionaryUseHere)
}

// ready says whether this node can read with a dictionary from its own state
// and keys: not from what only the object store has.
func (d *dictionaries) ready(ctx context.Context, id rookery.DictionaryID) error {
	_, err := d.local(id)
	if rookery.Is(err, rookery.KindNotFound) {
		if err := d.node.road.Barrier(ctx, rookery.SystemGroup); err != nil {
			return err
		}
		_, err = d.local(id)
	}
	return err
}

// adopt brings the newest dictionary into use, if it waits for that and every
// member of the cluster says that it can read with it.
func (d *dictionaries) adopt(ctx context.Context) error {
	all, err := d.node.groups.system.Dictionaries()
	if err != nil || len(all) == 0 || all[len(all)-1].Adopted != 0 {
		return err
	}
	id := all[len(all)-1].ID
	if err := d.copyOf(ctx, id); err != nil {
		return err
	}
	c := &command.AdoptDictionary{ID: id}
	nodes, err := d.node.groups.system.Nodes()
	if err != nil {
		return err
	}
	var without []string
	for _, x := range nodes {
		if !x.Member() {
			continue
		}
		if err := d.ask(ctx, x.ID, id); err != nil {
			without = append(without, fmt.Sprintf("%s (%v)", x.Name, err))
			continue
		}
		c.Nodes = append(c.Nodes, x.ID)
	}
	if len(without) > 0 {
		return rookery.E("adopt dictionary", rookery.KindUnavailable, fmt.Errorf("dictionary %d waits for %s", id, strings.Join(without, ", ")))
	}
	if _, err := d.node.propose(ctx, c); err != nil {
		return err
	}
	d.node.deps.Logger.Info("dictionary adopted", "dictionary", id)
	return nil
}

func (d *dictionaries) ask(ctx context.Context, node rookery.NodeID, id rookery.DictionaryID) error {
	ctx, cancel := context.WithTimeout(ctx, dictionaryWait)
	defer cancel()
	if node == d.node.id.Node {
		return d.ready(ctx, id)
	}
	b, err := cbor.Marshal(id)
	if err != nil {
		return err
	}
	_, err = d.node.mesh.Call(ctx, node, callDictionary, b)
	return err
}

// copyOf puts the copy of one dictionary beside the packs.
func (d *dictionaries) copyOf(ctx context.Context, id rookery.DictionaryID) error {
	sealed, err := d.node.groups.system.SealedDictionary(id)
	if err == nil {
		_, err = dictionary.Copy(ctx, d.node.bodies.store, id, sealed)
	}
	return err
}

// copies sees to it that every dictionary has its copy beside the packs, and
// that none is left which a former tenant key seals.
func (d *dictionaries) copies(ctx context.Context) error {
	d.stale.Store(false)
	// A state that is behind would bring back what was sealed anew.
	if err := d.node.road.Barrier(ctx, rookery.SystemGroup); err != nil {
		return err
	}
	all, err := d.node.groups.system.Dictionaries()
	if err != nil || len(all) == 0 {
		return err
	}
	objects, err := dictionary.Objects(ctx, d.node.bodies.store)
	if err != nil {
		return err
	}
	for _, x := range all {
		sealed, err := d.node.groups.system.SealedDictionary(x.ID)
		if err != nil {
			return err
		}
		if !dictionary.Has(objects, x.ID, sealed) {
			if _, err := dictionary.Copy(ctx, d.node.bodies.store, x.ID, sealed); err != nil {
				return err
			}
		}
		for _, o := range objects {
			if o.ID == x.ID && !dictionary.Has([]dictionary.Object{o}, x.ID, sealed) {
				if err := d.node.bodies.store.Delete(ctx, o.Key); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// nothingUnder brings all dictionaries, and their copies beside the packs,
// under the tenant key version in use. It must have returned nil before an older
// version is destroyed: what only that opens is lost, and mail with it.
func (d *dictionaries) nothingUnder(ctx context.Context) error {
	if err := errors.Join(d.node.road.Barrier(ctx, rookery.SystemGroup), d.reseal(ctx)); err != nil {
		return err
	}
	return d.copies(ctx)
}

// reseal brings all dictionaries in the state under the tenant key version in
// use.
func (d *dictionaries) reseal(ctx context.Context) error {
	all, err := d.node.groups.system.Dictionaries()
	if err != nil {
		return err
	}
	version := d.keys().Current()
	for _, x := range all {
		if x.Key >= version {
			continue
		}
		d.stale.Store(true)
		old, err := d.node.groups.system.SealedDictionary(x.ID)
		if err != nil {
			return err
		}
		sealed, err := d.keys().ResealDictionary(x.ID, old)
		if err != nil {
			return err
		}
		index, _, err := d.node.proposeAt(ctx, &command.ResealDictionary{ID: x.ID, Old: sha256.Sum256(old), Sealed: sealed, Key: version})
		if err == nil {
			err = d.node.road.Wait(ctx, rookery.SystemGroup, index)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
