package couriers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/protocols/outbound"
	"rookery/storage/command"
)

const (
	// maxSummed bounds what a summary looks at.
	maxSummed = 2_000_000
	// maxReason bounds what senders are told by bounce, in bytes.
	maxReason = 500
)

// steerings are the verbs that the log does by itself.
var steerings = map[string]command.Steering{
	"hold": command.HoldRow, "release": command.ReleaseRow, "retry": command.RetryRow, "reroute": command.RerouteRow,
	"cancel": command.CancelRow,
}

// List gives what a filter picks of all groups, the oldest first, at most limit.
func (s *Service) List(ctx context.Context, f adminapi.QueueFilter, limit int) (l adminapi.QueueList, err error) {
	all, more, err := s.list(ctx, queueFilter(&f), limit)
	l = adminapi.QueueList{Entries: []adminapi.QueueEntry{}, More: more}
	for i := range all {
		l.Entries = append(l.Entries, queueEntry(&all[i]))
	}
	return l, err
}

// Summary sums what a filter picks up by next hop and state.
func (s *Service) Summary(ctx context.Context, f adminapi.QueueFilter) ([]adminapi.QueueSum, error) {
	all, _, err := s.list(ctx, queueFilter(&f), maxSummed)
	return queueSums(all), err
}

// maxTroubles bounds what a node reports.
const maxTroubles = 5

// Report says what keeps this node from sending that is ours to mend.
func (s *Service) Report() (all []string) {
	for _, t := range s.Troubles() {
		if len(all) == maxTroubles {
			break
		}
		said := t.Heard.Text
		if t.Heard.Code > 0 {
			said = fmt.Sprintf("%d %s", t.Heard.Code, said)
		}
		all = append(all, fmt.Sprintf("%s: %.200s", t.NextHop, said))
	}
	return all
}

// Steer does what an operator wants: hold, release, retry, reroute, cancel or
// bounce. KindInvalid: there is no such verb.
func (s *Service) Steer(ctx context.Context, verb string, o adminapi.QueueOrder) (d adminapi.QueueDone, err error) {
	f := queueFilter(&o.QueueFilter)
	how, ok := steerings[verb]
	switch {
	case verb == "bounce":
		why := cmp.Or(o.Why, "An administrator has sent the message back")
		d.Done, d.Left, err = s.bounce(ctx, f, why[:min(len(why), maxReason)])
	case ok:
		d.Done, d.Left, err = s.steer(ctx, f, how, o.To)
	default:
		err = rookery.E("steer queue", rookery.KindInvalid, fmt.Errorf("%q is nothing that can be done to the queue", verb))
	}
	return d, err
}

func queueFilter(f *adminapi.QueueFilter) outbound.Filter {
	return outbound.Filter{Item: f.ID, Sender: f.Sender, Recipient: f.Recipient, Domain: f.Domain, NextHop: f.NextHop, Reason: f.Reason,
		State: outbound.State(f.State), Older: f.OlderThan}
}

func queueEntry(e *outbound.Entry) adminapi.QueueEntry {
	x := adminapi.QueueEntry{
		ID: outbound.ID(e.Row), State: string(e.State), Notification: e.Kind == command.Notification, From: e.From, To: e.To,
		MessageID: e.MessageID, NextHop: e.NextHop, Size: e.Size, Accepted: time.Unix(0, e.Accepted).UTC(), Attempts: e.Attempts,
		Trouble: e.Trouble, Others: e.Others, Why: e.Why(),
	}
	if e.Due > 0 {
		due := time.Unix(0, e.Due).UTC()
		x.Next = &due
	}
	if h := &e.Last; h.Time > 0 {
		x.Last = &adminapi.QueueAttempt{Time: time.Unix(0, h.Time).UTC(), Host: h.Host, Addr: h.Address, Stage: h.Stage, Code: h.Code,
			Reply: h.Text, TLS: h.TLS, Ours: h.Local}
	}
	return x
}

// queueSums sums entries up by next hop and state.
func queueSums(all []outbound.Entry) []adminapi.QueueSum {
	type key struct{ hop, state string }
	at := map[key]*adminapi.QueueSum{}
	last := map[key]int64{}
	for i := range all {
		e := &all[i]
		k := key{e.NextHop, string(e.State)}
		s := at[k]
		if s == nil {
			s = &adminapi.QueueSum{NextHop: k.hop, State: k.state, Oldest: time.Unix(0, e.Accepted).UTC()}
			at[k] = s
		}
		s.Count++
		s.Bytes += e.Size
		if t := time.Unix(0, e.Accepted).UTC(); t.Before(s.Oldest) {
			s.Oldest = t
		}
		if e.Last.Time > last[k] {
			last[k] = e.Last.Time
			s.LastReply, s.Ours = lastReply(e), e.Last.Local
		}
	}
	sums := []adminapi.QueueSum{}
	for _, s := range at {
		sums = append(sums, *s)
	}
	slices.SortFunc(sums, func(a, b adminapi.QueueSum) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.NextHop, b.NextHop), cmp.Compare(a.State, b.State))
	})
	return sums
}

func lastReply(e *outbound.Entry) string {
	if e.Last.Code > 0 {
		return fmt.Sprintf("%d %s", e.Last.Code, e.Last.Text)
	}
	return e.Last.Text
}
