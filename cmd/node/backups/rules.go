package backups

import (
	"context"
	"time"

	"rookery"
	"rookery/storage/command"
)

// rules has the groups that this node leads keep dead packs for as long as any second
// of the window can be restored, and an hour longer, for restores under way. A backup
// that is switched off, perhaps for a moment, lets go of nothing.
func (s *Service) rules(ctx context.Context) {
	set := s.o.Settings()
	if !set.On() {
		return
	}
	span := int64(time.Duration(set.Window)*24*time.Hour + time.Hour)
	const failed = "the window of restores cannot be changed yet; trying again"
	s.o.Replicas.EachLed(ctx, failed, func(ctx context.Context, id rookery.GroupID) error {
		m := s.o.Replicas.Machine(id)
		if m == nil {
			return nil
		}
		now, err := m.PackRules()
		if err != nil || now.Window == span {
			return err
		}
		return s.o.Replicas.Commit(ctx, id, &command.RestoreWindow{Span: span})
	})
}
