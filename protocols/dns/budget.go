package dns

import (
	"context"
	"sync/atomic"
)

type budgetKey struct{}

// WithBudget bounds how many questions may go out under the context and all that
// are made of it, together; what the cache answers is free. Beyond it lookups
// fail with KindLimit. One message gets one budget, so that no message makes us
// ask without end.
func WithBudget(ctx context.Context, questions int) context.Context {
	left := new(atomic.Int64)
	left.Store(int64(questions))
	return context.WithValue(ctx, budgetKey{}, left)
}

// spend takes one question from the context's budget; false when none is left.
func spend(ctx context.Context) bool {
	left, ok := ctx.Value(budgetKey{}).(*atomic.Int64)
	return !ok || left.Add(-1) >= 0
}
