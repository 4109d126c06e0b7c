package dns

import (
	"context"
	"errors"
	"fmt"

	"rookery"
)

// flight is a question on its way. outcome is there when done is closed.
type flight struct {
	done    chan struct{}
	outcome *outcome
}

var errClosed = errors.New("the resolver is closed")

// find answers a question: from the cache, by waiting for an equal one, or by
// asking. The error has a kind.
func (r *Resolver) find(ctx context.Context, q question) (*outcome, error) {
	r.count.questions.Add(1)
	op := "dns " + q.String()
	if o := r.cache.get(q, r.o.Clock()); o != nil {
		r.count.hits.Add(1)
		return o, finish(op, o)
	}
	if !spend(ctx) {
		return nil, rookery.E(op, rookery.KindLimit, errors.New("too many DNS questions for one message"))
	}
	f, err := r.join(q)
	if err != nil {
		return nil, rookery.E(op, rookery.KindUnavailable, err)
	}
	select {
	case <-f.done:
		return f.outcome, finish(op, f.outcome)
	case <-ctx.Done():
		return nil, rookery.E(op, rookery.KindUnavailable, fmt.Errorf("waiting for the answer: %w", ctx.Err()))
	}
}

// finish gives an outcome's error its kind: only "there is none" is for good.
func finish(op string, o *outcome) error {
	switch {
	case o.err == nil:
		return nil
	case errors.Is(o.err, ErrNoName), errors.Is(o.err, ErrNoData):
		return rookery.E(op, rookery.KindNotFound, o.err)
	}
	return rookery.E(op, rookery.KindUnavailable, o.err)
}

// join finds the question on its way, or sends it. The work belongs to the
// resolver: a caller that goes away does not end it for the others.
func (r *Resolver) join(q question) (*flight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, errClosed
	}
	if f := r.asked[q]; f != nil {
		return f, nil
	}
	f := &flight{done: make(chan struct{})}
	r.asked[q] = f
	r.work.Go(func() { r.fly(q, f) })
	return f, nil
}

func (r *Resolver) fly(q question, f *flight) {
	ctx, cancel := context.WithTimeout(r.life, r.o.Total)
	defer cancel()
	era := r.cache.now()
	f.outcome = r.resolve(ctx, q)
	if f.outcome.ttl > 0 && r.life.Err() == nil {
		r.cache.put(q, f.outcome, era, r.o.Clock())
	}
	r.mu.Lock()
	if r.asked[q] == f {
		delete(r.asked, q)
	}
	r.mu.Unlock()
	close(f.done)
}
