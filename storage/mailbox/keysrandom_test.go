package mailbox

import (
	"bytes"
	"fmt"
	"slices"

	"rookery"
	"rookery/storage/body"
	"rookery/storage/command"
)

// modelKeys are an account's keys as the model has them, and the floor of the
// whole group's.
type modelKeys struct {
	Keys
	wraps map[rookery.EmailID][]byte
}

// wrap makes a wrapped message key, as far as a machine looks into it.
func (s *storm) wrap(generation uint32) []byte {
	if generation == 0 {
		return []byte("k")
	}
	return []byte{2, byte(generation), byte(s.rng.IntN(256))}
}

// stale reports whether a delivery's key is wrapped by another key than its
// account's newest.
func (m *model) stale(c *command.Deliver) bool {
	return slices.ContainsFunc(c.Deliveries, func(d command.Delivery) bool {
		a := m.accounts[d.Account]
		return a != nil && body.MessageKeyGeneration(d.WrappedKey) != a.keys.Generation
	})
}

// accountWrap makes a wrapped account key under the model's tenant key.
func (s *storm) accountWrap() []byte { return []byte{1, s.tenant, byte(s.rng.IntN(256))} }

func (s *storm) keysRandom() string {
	id, a := s.account()
	k := &a.keys
	switch s.rng.IntN(6) {
	case 0:
		if s.tenant < 100 && s.rng.IntN(3) == 0 {
			s.tenant++
			s.floor = s.tenant - 1
			s.run(&command.KeyFloor{Version: uint32(s.floor)}, nil, 0)
			s.run(&command.KeyFloor{Version: uint32(s.floor) - 1}, nil, 0) // it never falls
		}
		return "key floor"
	case 1:
		c := &command.RotateAccountKey{Account: id, Old: k.Key, New: s.accountWrap()}
		switch {
		case len(k.Old) > 0 || bytes.Equal(c.Old, c.New) && len(k.Old) == 0:
			kind := rookery.KindConflict
			if bytes.Equal(c.Old, c.New) {
				kind = rookery.KindInvalid
			}
			s.run(c, nil, kind)
		default:
			s.run(c, nil, 0)
			k.Generation, k.Key, k.Old, k.Rewrapped = k.Generation+1, c.New, k.Key, rookery.EmailID{}
		}
		return fmt.Sprintf("%+v", c)
	case 2:
		return s.rewrapAccount(id, k)
	case 5:
		c := &command.DropAccountKey{Account: id, Generation: k.Generation}
		switch {
		case len(k.Old) == 0:
			s.run(c, nil, 0)
		case k.Rewrapped != command.LastEmail:
			s.run(c, nil, rookery.KindConflict)
		default:
			s.run(c, nil, 0)
			k.Old, k.Rewrapped = nil, rookery.EmailID{}
		}
		return fmt.Sprintf("%+v", c)
	}
	return s.rewrapMessages(id, k)
}

func (s *storm) rewrapAccount(id rookery.AccountID, k *modelKeys) string {
	old, is := k.Key, &k.Key
	if len(k.Old) > 0 && s.rng.IntN(2) == 0 {
		old, is = k.Old, &k.Old
	}
	c := &command.RewrapAccounts{Accounts: []command.Rewrapped{{Account: accountID(99), Old: old, New: s.accountWrap()}, {Account: id, Old: old, New: s.accountWrap()}}}
	want := &command.RewrapResult{Done: 1}
	if s.rng.IntN(3) == 0 {
		c.Accounts[1].Old, want.Done = []byte("another"), 0
	}
	if s.floor > 0 && s.rng.IntN(4) == 0 {
		c.Accounts[0].New, c.Accounts[0].Old = []byte{1, s.floor - 1, 1}, nil
		s.run(c, nil, rookery.KindConflict)
		return fmt.Sprintf("%+v", c)
	}
	s.run(c, want, 0)
	if want.Done > 0 {
		*is = c.Accounts[1].New
	}
	return fmt.Sprintf("%+v", c)
}

func (s *storm) rewrapMessages(id rookery.AccountID, k *modelKeys) string {
	c := &command.RewrapMessages{Account: id, After: k.Rewrapped, Last: command.LastEmail}
	if k.Rewrapped == command.LastEmail {
		return "all rewrapped"
	}
	if len(k.Old) == 0 {
		s.run(c, nil, rookery.KindConflict)
		return fmt.Sprintf("%+v", c)
	}
	var ids []rookery.EmailID
	for e, wrap := range k.wraps {
		if bytes.Compare(e[:], c.After[:]) > 0 && body.MessageKeyGeneration(wrap) != k.Generation {
			ids = append(ids, e)
		}
	}
	slices.SortFunc(ids, func(a, b rookery.EmailID) int { return bytes.Compare(a[:], b[:]) })
	if n := 1 + s.rng.IntN(8); n < len(ids) {
		ids = ids[:n]
		c.Last = ids[n-1]
	}
	for _, e := range ids {
		c.Keys = append(c.Keys, command.EmailKey{Email: e, Key: s.wrap(k.Generation)})
	}
	if len(ids) > 0 && s.rng.IntN(4) == 0 { // one is left out
		whole := c.Keys
		c.Keys = c.Keys[1:]
		s.run(c, nil, rookery.KindConflict)
		c.Keys = whole
	}
	s.run(c, &command.RewrapResult{Done: uint32(len(ids))}, 0)
	for _, x := range c.Keys {
		k.wraps[x.Email] = x.Key
	}
	k.Rewrapped = c.Last
	return fmt.Sprintf("%+v", c)
}
