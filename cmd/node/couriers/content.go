package couriers

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/storage/mailbox"
)

// partSize is how much of a message one node asks another for at once, in bytes.
const partSize = 1 << 20

// Content hands on a message in the queue as it would be sent, in parts of at most
// 1 MiB. It is read and opened by a node that has the group. KindInvalid: no reason
// is given; KindNotFound: nothing has the id.
func (s *Service) Content(ctx context.Context, o adminapi.ContentOrder, event func(any) error) error {
	const op = "show queue"
	if reason := strings.TrimSpace(o.Reason); o.ID == "" || reason == "" || len(reason) > maxReason {
		return rookery.E(op, rookery.KindInvalid, fmt.Errorf("an id, and a reason of at most %d bytes, are needed to read a message", maxReason))
	}
	all, _, err := s.list(ctx, queueFilter(&adminapi.QueueFilter{ID: o.ID}), 1)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return rookery.E(op, rookery.KindNotFound, fmt.Errorf("no entry has the id %s; it may have been sent", o.ID))
	}
	for q := (peers.QueueText{Row: all[0].Row}); ; {
		part, err := s.content.Ask(ctx, all[0].Group, q)
		if err != nil {
			return err
		}
		if err := event(part.Text); err != nil {
			return err
		}
		q.From += int64(len(part.Text))
		switch {
		case q.From >= part.Size:
			return nil
		case len(part.Text) == 0:
			return rookery.E(op, rookery.KindDamaged, errors.New("the message is shorter than its size"))
		}
	}
}

func (s *Service) contentHere(ctx context.Context, _ *mailbox.Machine, g rookery.GroupID, q peers.QueueText) (peers.QueuePart, error) {
	p := make([]byte, partSize)
	n, size, err := s.Couriers.Content(ctx, g, q.Row, q.From, p)
	return peers.QueuePart{Text: p[:n], Size: size}, err
}
