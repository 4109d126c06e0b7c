package keyring

import (
	"context"
	"fmt"
	"sync"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
)

// askProgress asks the system leader, who does the work.
func (s *Service) askProgress(ctx context.Context) string {
	to, err := s.replicas.Leader(rookery.SystemGroup)
	if err != nil {
		return "the system group has no leader: it waits"
	}
	if to == "" {
		return s.progress.String()
	}
	ctx, cancel := context.WithTimeout(ctx, replicas.AskWait)
	defer cancel()
	text, err := peers.EraseProgress.Ask(ctx, s.o.Peers, to, peers.Nothing{})
	if err != nil {
		return fmt.Sprintf("the node that does it does not answer: %v", err)
	}
	return string(text)
}

// serveProgress answers other nodes how far the erasure of accounts is.
func (s *Service) serveProgress() {
	peers.EraseProgress.Serve(s.o.Peers, func(context.Context, rookery.NodeID, peers.Nothing) (peers.Text, error) {
		return peers.Text(s.progress.String()), nil
	})
}

// progress is what holds an erasure up, or how far it is, for operators.
type progress struct {
	mu   sync.Mutex
	text string
}

func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = fmt.Sprintf(format, args...)
}

func (p *progress) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text
}
