package trace

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/storage/command"
	"rookery/storage/trace"
)

// What one question gives.
const (
	defaultLimit = 20
	maxLimit     = 1000
	// nodeWait bounds the answer of a node about its refusals.
	nodeWait = 10 * time.Second
)

// Trace says what became of messages, of all groups and nodes that answer.
func (s *Service) Trace(ctx context.Context, f adminapi.TraceFilter) (t adminapi.Trace, err error) {
	now := s.o.Clock()
	if f.Until.IsZero() {
		f.Until = now.Add(time.Minute) // a group's clock may be ahead
	}
	if f.From.IsZero() {
		f.From = now.Add(-maxAge)
	}
	if f.Limit < 1 {
		f.Limit = defaultLimit
	}
	f.Limit = min(f.Limit, maxLimit)
	f.MessageID = strings.Trim(f.MessageID, "<>")
	t = adminapi.Trace{Messages: []adminapi.TracedMessage{}, Recent: []adminapi.RecentLine{}, Silent: []string{}}
	if f.User == "" && f.Client == "" {
		s.messages(ctx, &f, &t)
	}
	if f.ID == "" && f.MessageID == "" {
		err = s.recent(ctx, &f, &t)
	}
	return t, err
}

// messages finds the messages that a filter picks, then all that is known of them.
func (s *Service) messages(ctx context.Context, f *adminapi.TraceFilter, t *adminapi.Trace) {
	q := peers.TraceQuery{From: f.From.UnixNano(), Until: f.Until.UnixNano(),
		Filter: peers.TraceFilter{ID: f.ID, MessageID: f.MessageID, Sender: f.Sender, Recipient: f.Recipient}}
	found := s.ask(ctx, q, t)
	slices.SortFunc(found, func(a, b peers.TraceLine) int { return cmp.Compare(b.At, a.At) })
	if more := len(found) - f.Limit; more > 0 {
		found, t.MoreMessages = found[:f.Limit], more
	}
	if len(found) == 0 {
		return
	}
	at := map[rookery.EmailID]int{}
	q = peers.TraceQuery{From: found[len(found)-1].At, Until: s.o.Clock().Add(time.Minute).UnixNano()}
	for i := range found {
		x := &found[i]
		at[x.Email] = len(t.Messages)
		q.Emails = append(q.Emails, x.Email)
		t.Messages = append(t.Messages, adminapi.TracedMessage{ID: x.Facts.ID, MessageID: x.Facts.MessageID, From: x.Facts.From, To: x.Facts.To,
			Size: x.Facts.Size, Accepted: stamp(x.At)})
	}
	lines := s.ask(ctx, q, t)
	slices.SortStableFunc(lines, func(a, b peers.TraceLine) int { return cmp.Compare(a.At, b.At) })
	for i := range lines {
		x := &lines[i]
		if n, ok := at[x.Email]; ok {
			t.Messages[n].Events = append(t.Messages[n].Events, event(x))
		}
		if n, ok := at[x.About]; ok && x.Kind == trace.Accepted {
			t.Messages[n].Events = append(t.Messages[n].Events, adminapi.TraceEvent{Time: stamp(x.At), Group: uint32(x.Group), Event: "told",
				To: strings.Join(x.Facts.To, ", "), Notification: x.Facts.ID})
		}
	}
}

// ask asks all groups at once. Those that do not answer are named.
func (s *Service) ask(ctx context.Context, q peers.TraceQuery, t *adminapi.Trace) (all []peers.TraceLine) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, g := range s.o.Groups() {
		wg.Go(func() {
			lines, err := s.askGroup(ctx, g, q)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, lines...)
			if silent := fmt.Sprintf("group %d: %v", g, err); err != nil && !slices.Contains(t.Silent, silent) {
				t.Silent = append(t.Silent, silent)
			}
		})
	}
	wg.Wait()
	slices.Sort(t.Silent)
	return all
}

// maxFound bounds what a question gathers of a group.
const maxFound = 20_000

func (s *Service) askGroup(ctx context.Context, g rookery.GroupID, q peers.TraceQuery) (all []peers.TraceLine, err error) {
	for len(all) < maxFound {
		p, err := s.lines.Ask(ctx, g, q)
		if err != nil {
			return all, err
		}
		if all = append(all, p.Lines...); p.Next == 0 {
			return all, nil
		}
		q.From = p.Next
	}
	return all, fmt.Errorf("more than %d lines; ask for a shorter time", maxFound)
}

// recent asks all nodes what they have refused.
func (s *Service) recent(ctx context.Context, f *adminapi.TraceFilter, t *adminapi.Trace) error {
	nodes, err := s.o.Replicas.Members()
	if err != nil {
		return err
	}
	q := peers.RecentQuery{From: f.From.UnixNano(), Until: f.Until.UnixNano(), Sender: f.Sender, Recipient: f.Recipient, User: f.User,
		Client: f.Client, Limit: f.Limit}
	ctx, cancel := context.WithTimeout(ctx, nodeWait)
	defer cancel()
	found, failed := make([]peers.Recents, len(nodes)), make([]error, len(nodes))
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() { found[i], failed[i] = peers.RecentLines.Ask(ctx, s.o.Peers, nodes[i].ID, q) })
	}
	wg.Wait()
	for i, n := range nodes {
		if failed[i] != nil {
			t.Silent = append(t.Silent, fmt.Sprintf("node %s: %v", n.Name, failed[i]))
		}
		t.MoreRecent = t.MoreRecent || found[i].More
		for _, text := range found[i].Lines {
			l := adminapi.RecentLine{Node: n.Name}
			if json.Unmarshal(text, &l.Fields) == nil {
				t.Recent = append(t.Recent, l)
			}
		}
	}
	slices.SortStableFunc(t.Recent, func(a, b adminapi.RecentLine) int { return cmp.Compare(when(&a), when(&b)) })
	if more := len(t.Recent) - f.Limit; more > 0 {
		t.Recent, t.MoreRecent = t.Recent[more:], true
	}
	return nil
}

// when is a line's time, in one form and so in the order of its text.
func when(l *adminapi.RecentLine) string {
	text, _ := l.Fields["time"].(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return at.UTC().Format("2006-01-02T15:04:05.000000000")
}

func stamp(at int64) time.Time { return time.Unix(0, at).UTC() }

var steered = map[command.Steering]string{command.HoldRow: "hold", command.ReleaseRow: "release", command.RetryRow: "retry",
	command.RerouteRow: "reroute", command.CancelRow: "cancel", command.StopRow: "disabled"}

// event is a line as operators see it.
func event(x *peers.TraceLine) adminapi.TraceEvent {
	f, h := &x.Facts, &x.Heard
	e := adminapi.TraceEvent{Time: stamp(x.At), Group: uint32(x.Group), To: x.To, MorePlaces: x.More, Missed: x.Missed, Trouble: x.Trouble,
		Node: f.Node, Client: f.Client, Hello: f.Hello, User: f.User, Protocol: f.Protocol, Session: f.Session, TLS: f.TLS, Verdict: f.Verdict}
	for _, p := range x.Places {
		e.Places = append(e.Places, adminapi.TracePlace{Account: p.Account.String(), Mailbox: p.Mailbox, UID: uint32(p.UID)})
	}
	if h.Time > 0 {
		e.Attempt = &adminapi.QueueAttempt{Time: stamp(h.Time), Host: h.Host, Addr: h.Address, Stage: h.Stage, Code: h.Code, Reply: h.Text,
			TLS: h.TLS, Ours: h.Local}
	}
	switch x.Kind {
	case trace.Accepted:
		e.Event = "accepted"
	case trace.Filed:
		e.Event = "filed"
	case trace.Tried:
		e.Event = "deferred"
	case trace.Steered:
		e.Event = steered[x.How]
	case trace.Ended:
		e.Event = "failed"
		if h.Code/100 == 2 {
			e.Event = "sent"
		}
	}
	return e
}
