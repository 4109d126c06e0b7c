package members

import (
	"context"
	"errors"
	"slices"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// maxStages bounds the stages in one question.
const maxStages = mailbox.MaxStages

// dropStages abandons the stages of a group that nobody carries any more. A
// Deliver that names one later is refused: it was not acknowledged.
func (f *reclaimer) dropStages(ctx context.Context, group rookery.GroupID, m *mailbox.Machine, removed map[rookery.NodeID]bool) error {
	open, err := m.Stages()
	if err != nil || len(open) == 0 {
		return err
	}
	by := map[rookery.NodeID][]command.StageID{}
	for _, s := range open {
		if len(by[s.ID.Node]) < maxStages {
			by[s.ID.Node] = append(by[s.ID.Node], s.ID)
		}
	}
	var errs []error
	for node, stages := range by {
		left := stages
		if !removed[node] && !f.away(node) {
			if left, err = f.askLeft(ctx, node, stages); err != nil {
				continue // it is not there, or of an older binary: it may go on
			}
		}
		for _, s := range left {
			if err := f.h.o.Replicas.Commit(ctx, group, &command.Abandon{Stage: s}); err != nil {
				errs = append(errs, err)
				break
			}
		}
		if len(left) > 0 {
			f.h.o.Logger.Info("staged chunks that nobody delivers any more are dropped", "group", group, "node", node, "stages", len(left))
		}
	}
	return errors.Join(errs...)
}

// askLeft asks a node which of its stages it does not carry any more.
func (f *reclaimer) askLeft(ctx context.Context, node rookery.NodeID, stages []command.StageID) ([]command.StageID, error) {
	if node == f.h.o.ID.Node {
		return f.h.stagesLeft(stages), nil
	}
	ctx, cancel := context.WithTimeout(ctx, replicas.AskWait)
	defer cancel()
	a, err := peers.LeftStages.Ask(ctx, f.h.o.Peers, node, peers.Stages{Stages: stages})
	if err != nil {
		return nil, err
	}
	asked := func(s command.StageID) bool { return slices.Contains(stages, s) }
	return slices.DeleteFunc(a.Stages, func(s command.StageID) bool { return !asked(s) }), nil
}

// serveStages answers other nodes' questions after stages of this one.
func (h *Host) serveStages() {
	peers.LeftStages.Serve(h.o.Peers, func(_ context.Context, _ rookery.NodeID, q peers.Stages) (peers.Stages, error) {
		if len(q.Stages) > maxStages {
			return peers.Stages{}, rookery.E("ask for stages", rookery.KindInvalid, errors.New("malformed question"))
		}
		return peers.Stages{Stages: h.stagesLeft(q.Stages)}, nil
	})
}

// stagesLeft are those among this node's stages of which it sends nothing any
// more, ever: they are of an earlier life, or given up.
func (h *Host) stagesLeft(stages []command.StageID) (left []command.StageID) {
	for _, s := range stages {
		mine := s.Node == h.o.ID.Node && s.Epoch <= h.o.ID.Epoch
		if mine && (s.Epoch < h.o.ID.Epoch || !h.w.Carries(s)) {
			left = append(left, s)
		}
	}
	return left
}
