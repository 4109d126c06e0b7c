package couriers

import (
	"rookery"
	"rookery/cmd/node/peers"
	"rookery/protocols/delivery"
	"rookery/storage/queue"
	"rookery/storage/state"
)

// alarmAt is the share of a bound, in per cent, from which on administrators are told.
const alarmAt = 80

// Filling are the queues of the groups that this node leads that are nearly full.
func (s *Service) Filling() (all []peers.Filling) {
	limit := Limit(s.o.Settings.Outbound(), len(s.o.Groups()))
	for _, g := range s.o.Replicas.Here() {
		m := s.o.Replicas.Machine(g)
		if m == nil || !s.o.Replicas.Leads(g) {
			continue
		}
		var owed queue.Tally
		if err := m.Queue(func(r state.Reader) (err error) {
			owed, err = queue.Owed(r)
			return err
		}); err != nil {
			continue // the group's own status says so
		}
		if f, alarm := fills(g, owed, limit); alarm {
			all = append(all, f)
		}
	}
	return all
}

// fills says how full a group's queue is, and whether that is an alarm.
func fills(g rookery.GroupID, owed queue.Tally, limit delivery.Limit) (f peers.Filling, alarm bool) {
	f = peers.Filling{Group: g, Items: owed.Items, Bytes: owed.Bytes, MostItems: limit.Items, MostBytes: limit.Bytes}
	items := limit.Items > 0 && owed.Items*100 >= limit.Items*alarmAt
	bytes := limit.Bytes > 0 && owed.Bytes >= limit.Bytes/100*alarmAt
	return f, items || bytes
}
