package node

import (
	"context"
	"errors"
	"fmt"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/settings"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/dictionary"
)

// margin is by how many percent a new dictionary must be better than what is
// used, on mail that it was not trained on: each one is kept for ever.
const margin = 5

// trainNow samples mail, trains a dictionary, and keeps it where it is better
// by the margin. KindConflict: there is too little mail, or it shares too little.
func (d *dictionaries) trainNow(ctx context.Context) (t adminapi.Training, err error) {
	const op = "train dictionary"
	if !d.train.TryLock() {
		return t, rookery.E(op, rookery.KindConflict, errors.New("this node trains one already"))
	}
	defer d.train.Unlock()
	if gate, err := d.node.groups.system.Gate(); err != nil || gate < dictionaryGate {
		return t, errors.Join(err, rookery.E(op, rookery.KindUnavailable, fmt.Errorf("version %d is not final yet: run rookery upgrade finalize", dictionaryGate)))
	}
	if use := d.node.compression.Load().Dictionaries; use != settings.UseSite {
		return t, rookery.E(op, rookery.KindConflict, fmt.Errorf("compression.dictionaries is %q, so none of the site's own is used; set it to %q", use, settings.UseSite))
	}
	id, err := d.next(ctx)
	if err != nil {
		return t, err
	}
	samples, err := d.node.sampleMail(ctx)
	if err != nil {
		return t, err
	}
	learn, rest := split(samples)
	trained, err := dictionary.Train(ctx, uint32(id), learn, d.node.compression.Load().SharedBy)
	t.Messages, t.Accounts = len(samples), accountsOf(samples)
	if err != nil {
		return t, err
	}
	x, err := body.NewDictionary(trained.Dictionary)
	if err != nil {
		return t, err
	}
	t.Before, t.After = takes(rest, d.Current()), takes(rest, x)
	if t.After*100 > t.Before*(100-margin) {
		t.Why = fmt.Sprintf("it is not %d percent better than what is in use", margin)
		return t, nil
	}
	if err := d.propose(ctx, t, id, trained); err != nil {
		return t, err
	}
	t.ID = id
	d.node.deps.Logger.Info("dictionary trained", "dictionary", id, "messages", t.Messages, "accounts", t.Accounts, "before", t.Before, "after", t.After)
	if err := d.adopt(ctx); err != nil {
		t.Why = err.Error() // the leader tries again
		return t, nil
	}
	d.refresh()
	t.Adopted = true
	return t, nil
}

// next is the id of the next dictionary: above all that the state or a former
// state's copies beside the packs name.
func (d *dictionaries) next(ctx context.Context) (rookery.DictionaryID, error) {
	_, last, err := d.node.groups.system.AdoptedDictionary()
	if err != nil {
		return 0, err
	}
	objects, err := dictionary.Objects(ctx, d.node.bodies.store)
	for _, o := range objects {
		last = max(last, o.ID)
	}
	return last + 1, err
}

func (d *dictionaries) propose(ctx context.Context, t adminapi.Training, id rookery.DictionaryID, trained dictionary.Trained) error {
	sealed, err := d.keys().SealDictionary(trained.Dictionary)
	if err != nil {
		return err
	}
	key, err := body.DictionaryKey(sealed)
	if err != nil {
		return err
	}
	index, _, err := d.node.proposeAt(ctx, &command.AddDictionary{ID: id, Sealed: sealed, Key: key,
		Messages: uint32(t.Messages), Accounts: uint32(t.Accounts), Before: uint32(t.Before), After: uint32(t.After)})
	if err != nil {
		return err
	}
	return d.node.road.Wait(ctx, rookery.SystemGroup, index)
}

// split keeps a fifth of the conversations back to measure with.
func split(samples []dictionary.Sample) (learn, rest []dictionary.Sample) {
	for _, s := range samples {
		if talkNumber(s.Talk)%5 == 0 {
			rest = append(rest, s)
		} else {
			learn = append(learn, s)
		}
	}
	return learn, rest
}

// takes is what samples take with a dictionary, in thousandths of their size.
func takes(samples []dictionary.Sample, x *body.Dictionary) int {
	plain, packed := 1, 0
	for _, s := range samples {
		plain, packed = plain+len(s.Text), packed+x.Packed(s.Text)
	}
	return packed * 1000 / plain
}
