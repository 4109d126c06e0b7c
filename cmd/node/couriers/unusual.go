package couriers

import (
	"context"
	"fmt"

	"rookery"
	"rookery/protocols/outbound"
	"rookery/storage/command"
	"rookery/storage/propose"
)

// maxUnusual bounds the accounts that one node reports.
const maxUnusual = 20

// letSend lets the accounts send again of which a filter picks messages that are
// held as unusual, wherever the accounts are by now.
func (s *Service) letSend(ctx context.Context, f outbound.Filter) error {
	seen := map[rookery.AccountID]bool{}
	for _, g := range s.o.Groups() {
		if err := s.each(ctx, g, f, func(e outbound.Entry) {
			if e.Unusual {
				seen[e.Account] = true
			}
		}); err != nil {
			return err
		}
	}
	for id := range seen {
		g, err := s.o.Placement(ctx, id)
		if err == nil {
			_, _, err = propose.Command(ctx, s.o.Replicas, g, &command.LetSend{Account: id})
		}
		if err != nil && !rookery.Is(err, rookery.KindNotFound) { // it is erased
			return err
		}
	}
	return nil
}

// Unusual are the accounts of the groups that this node leads whose mail to other
// systems is held because it is far more than is usual for them.
func (s *Service) Unusual() (all []string) {
	for _, g := range s.o.Replicas.Here() {
		m := s.o.Replicas.Machine(g)
		if m == nil || !s.o.Replicas.Leads(g) || len(all) >= maxUnusual {
			continue
		}
		ids, err := m.Unusual(maxUnusual)
		if err != nil {
			continue // the group's own status says so
		}
		for _, id := range ids {
			all = append(all, fmt.Sprint(id))
		}
	}
	return all[:min(len(all), maxUnusual)]
}
