package moves

import (
	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/storage/command"
	"rookery/storage/system"
)

// Statuses are the moves under way.
func (m *Service) Statuses() ([]adminapi.MoveStatus, error) {
	moves, err := m.system.Moves()
	all := make([]adminapi.MoveStatus, 0, len(moves))
	for _, x := range moves {
		all = append(all, m.Status(x))
	}
	return all, err
}

// Status is how far a move is.
func (m *Service) Status(x system.AccountMove) adminapi.MoveStatus {
	s := adminapi.MoveStatus{
		Account: x.Account.String(), From: x.From, To: x.To, State: x.State.String(), Since: x.Begun / 1e9, Trouble: x.Reason,
	}
	if err := m.trouble(x.Move); err != nil && s.Trouble == "" {
		s.Trouble = err.Error()
	}
	if from := m.replicas.Machine(x.From); from != nil {
		if v, err := from.View(x.Account); err == nil {
			used := v.Account().UsedMessages
			s.Messages = &used
			v.Close()
		} else if rookery.Is(err, rookery.KindMoved) && x.State == system.MoveCopying {
			s.State = "frozen"
		}
	}
	if to := m.replicas.Machine(x.To); to != nil {
		for _, y := range m.moving(to) {
			if y.Account == x.Account && y.Move == x.Move {
				s.Copied = &y.Bodies
			}
		}
	}
	return s
}

// trouble is why a move does not get on here.
func (m *Service) trouble(id command.MoveID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.running[id]; c != nil {
		return c.err
	}
	return nil
}
