package outbound

import (
	"context"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/propose"
	"rookery/storage/queue"
)

// stops are scheduled rows of one group whose senders' accounts are disabled now
// that it is time for them.
type stops struct {
	c     *Couriers
	asked map[rookery.AccountID]bool
	rows  []queue.Ref
}

// wants reports whether a row is to be stopped, and notes it.
func (s *stops) wants(ctx context.Context, l *loaded) bool {
	id := l.header.Account
	if s.c.o.Senders == nil || l.header.Scheduled == 0 || id == (rookery.AccountID{}) || l.row.Taken() ||
		!l.row.MayStop(l.row.Due) {
		return false
	}
	disabled, ok := s.asked[id]
	if !ok {
		disabled = s.c.o.Senders.Disabled(ctx, id)
		s.asked[id] = disabled
	}
	if disabled {
		s.rows = append(s.rows, l.Ref)
	}
	return disabled
}

// propose has the rows held until an operator releases them.
func (s *stops) propose(ctx context.Context, g rookery.GroupID) error {
	if len(s.rows) == 0 {
		return nil
	}
	s.c.o.Logger.Warn("scheduled mail is held: its sender's account is disabled or gone", "group", g, "recipients", len(s.rows))
	_, index, err := propose.Command(ctx, s.c.o.Log, g, &command.SteerRows{How: command.StopRow, Rows: s.rows})
	if err != nil {
		return err
	}
	return s.c.o.Log.Wait(ctx, g, index)
}
