package replicas

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A change wakes each that follows it, also one that comes while the step runs;
// others sleep until their time.
func TestTopicsWakeWhoFollowsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var x Topics
		ctx, cancel := context.WithCancel(t.Context())
		keys, placement := 0, 0
		ended := make(chan struct{}, 2)
		go func() {
			x.Follow(ctx, time.Hour, func() {
				if keys++; keys == 2 {
					x.Publish(TopicKeys) // as another job would, meanwhile
				}
			}, TopicKeys, TopicAccountKeys)
			ended <- struct{}{}
		}()
		go func() {
			x.Follow(ctx, time.Hour, func() { placement++ }, TopicPlacement)
			ended <- struct{}{}
		}()
		for _, step := range []struct {
			do              func()
			keys, placement int
		}{
			{func() {}, 1, 1},
			{func() { x.Publish(TopicKeys) }, 3, 1},
			{func() { x.Publish(TopicAccountKeys) }, 4, 1},
			{func() { x.Publish(TopicPlacement, TopicSettings) }, 4, 2},
			{func() { time.Sleep(time.Hour + time.Second) }, 5, 3},
		} {
			step.do()
			synctest.Wait()
			if keys != step.keys || placement != step.placement {
				t.Fatalf("%d and %d steps, want %d and %d", keys, placement, step.keys, step.placement)
			}
		}
		cancel()
		<-ended
		<-ended
	})
}
