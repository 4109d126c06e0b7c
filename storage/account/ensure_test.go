package account_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"rookery"
	"rookery/storage/account/accounttest"
	"rookery/storage/command"
)

// Callers of one key share the minting: the end of the one who began it, or of
// another, fails nobody else.
func TestEnsureOutlivesACaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		minted := 0
		release := make(chan struct{})
		first, giveUp := context.WithCancel(t.Context())
		n := accounttest.Open(t, accounttest.Options{Before: func(_ rookery.GroupID, c command.Command) error {
			if _, ok := c.(*command.EnsureAccount); !ok {
				return nil
			}
			if minted++; minted > 1 {
				return nil
			}
			<-release
			return rookery.E("apply", rookery.KindUnknown, first.Err())
		}})
		ensure := func(ctx context.Context) chan error {
			done := make(chan error, 1)
			go func() {
				_, err := n.Store.Ensure(ctx, rookery.Owner{Key: "dir/1"}, 0)
				done <- err
			}()
			synctest.Wait()
			return done
		}
		impatient, leave := context.WithCancel(t.Context())
		a, b, c := ensure(first), ensure(impatient), ensure(t.Context())
		leave()
		if err := <-b; !errors.Is(err, context.Canceled) {
			t.Errorf("who waits and leaves hears %v", err)
		}
		giveUp()
		close(release)
		if err := <-a; !errors.Is(err, context.Canceled) {
			t.Errorf("who began and leaves hears %v", err)
		}
		if err := <-c; err != nil {
			t.Errorf("who stays hears %v", err)
		}
		if minted != 2 {
			t.Errorf("minted %d times, want once more after the first gave up", minted)
		}
	})
}
