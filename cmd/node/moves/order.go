package moves

import (
	"context"

	"rookery"
	"rookery/storage/command"
)

// Begin has an account moved to a group.
func (m *Service) Begin(ctx context.Context, id rookery.AccountID, to rookery.GroupID) error {
	_, err := m.replicas.ProposeSystem(ctx, &command.BeginMove{Account: id, To: to})
	return err
}

// Abandon has an account stay where it is.
func (m *Service) Abandon(ctx context.Context, id rookery.AccountID) error {
	x, err := m.system.Move(id)
	if err != nil {
		return err
	}
	_, err = m.replicas.ProposeSystem(ctx, &command.AbandonMove{Account: id, Move: x.Move, Reason: "the operator gave it up"})
	return err
}
