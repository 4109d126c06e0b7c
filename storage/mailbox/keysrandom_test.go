package mailbox

import (
	"fmt"

	"rookery"
	"rookery/storage/command"
)

// accountWrap makes a wrapped account key under the model's tenant key.
func (s *storm) accountWrap() []byte { return []byte{1, s.tenant, byte(s.rng.IntN(256))} }

func (s *storm) keysRandom() string {
	if s.rng.IntN(6) == 0 {
		if s.tenant < 100 && s.rng.IntN(3) == 0 {
			s.tenant++
			s.floor = s.tenant - 1
			s.run(&command.KeyFloor{Version: uint32(s.floor)}, nil, 0)
			s.run(&command.KeyFloor{Version: uint32(s.floor) - 1}, nil, 0) // it never falls
		}
		return "key floor"
	}
	id, a := s.account()
	c := &command.RewrapAccounts{Accounts: []command.Rewrapped{{Account: accountID(99), Old: a.key, New: s.accountWrap()},
		{Account: id, Old: a.key, New: s.accountWrap()}}}
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
		a.key = c.Accounts[1].New
	}
	return fmt.Sprintf("%+v", c)
}
