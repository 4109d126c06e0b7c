package node

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
		var x topics
		ctx, cancel := context.WithCancel(t.Context())
		keys, placement := 0, 0
		ended := make(chan struct{}, 2)
		go func() {
			x.follow(ctx, time.Hour, func() {
				if keys++; keys == 2 {
					x.publish(topicKeys) // as another job would, meanwhile
				}
			}, topicKeys, topicAccountKeys)
			ended <- struct{}{}
		}()
		go func() {
			x.follow(ctx, time.Hour, func() { placement++ }, topicPlacement)
			ended <- struct{}{}
		}()
		for _, step := range []struct {
			do              func()
			keys, placement int
		}{
			{func() {}, 1, 1},
			{func() { x.publish(topicKeys) }, 3, 1},
			{func() { x.publish(topicAccountKeys) }, 4, 1},
			{func() { x.publish(topicPlacement, topicSettings) }, 4, 2},
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
