package replicas

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A call ends soon after its leader is no leader any more, and not before.
func TestCallEndsWithItsLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var deposed atomic.Bool
		ctx, done := watched(t.Context(), func() bool { return !deposed.Load() })
		defer done()
		time.Sleep(20 * deposedEvery)
		if ctx.Err() != nil {
			t.Fatalf("the call ended under a leader: %v", context.Cause(ctx))
		}
		deposed.Store(true)
		time.Sleep(deposedEvery + time.Millisecond)
		if !errors.Is(context.Cause(ctx), errDeposed) {
			t.Errorf("the call goes on without its leader: %v", context.Cause(ctx))
		}
	})
}
