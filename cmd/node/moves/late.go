package moves

import (
	"context"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// endLate ends in the groups led here what belongs to moves that have ended:
// a command that was on its way for long may have begun it anew.
func (m *Service) endLate(ctx context.Context) {
	for _, group := range m.replicas.Here() {
		at := m.replicas.Machine(group)
		if at == nil || !m.replicas.Leads(group) {
			continue
		}
		found := m.moving(at)
		if len(found) == 0 {
			continue
		}
		// What began these, began before the barrier.
		if err := m.replicas.Barrier(ctx, rookery.SystemGroup); err != nil {
			return
		}
		for _, x := range found {
			m.endOne(ctx, group, x)
		}
	}
}

func (m *Service) endOne(ctx context.Context, group rookery.GroupID, x mailbox.Moving) {
	move, err := m.system.Move(x.Account)
	if err == nil && move.Move == x.Move || err != nil && !rookery.Is(err, rookery.KindNotFound) {
		return // under way
	}
	place, err := m.system.Account(x.Account)
	if err != nil && !rookery.Is(err, rookery.KindNotFound) {
		return
	}
	out, here := x.State <= mailbox.MoveFrozen, err == nil && place.Group == group
	switch {
	case out && (here || err != nil):
		m.commit(ctx, group, &command.MoveStop{Account: x.Account, Move: x.Move})
	case !out && !here:
		m.commit(ctx, group, &command.ImportDrop{Account: x.Account, Move: x.Move, From: x.Group})
	default:
		m.logger.Error("an account's move has ended without being settled", "account", x.Account, "group", group, "state", x.State.String())
	}
}
