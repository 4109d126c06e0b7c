package couriers

import (
	"testing"

	"rookery/cmd/node/peers"
	"rookery/protocols/delivery"
	"rookery/storage/queue"
)

// Administrators hear of a queue before it refuses mail, whichever bound is near.
func TestAQueueIsAnAlarmBeforeItIsFull(t *testing.T) {
	limit := delivery.Limit{Items: 1000, Bytes: 1 << 30}
	for _, c := range []struct {
		owed  queue.Tally
		alarm bool
	}{
		{queue.Tally{}, false},
		{queue.Tally{Items: 799, Bytes: 1 << 20}, false},
		{queue.Tally{Items: 800, Bytes: 1 << 20}, true},
		{queue.Tally{Items: 1, Bytes: 1 << 29}, false},
		{queue.Tally{Items: 1, Bytes: 1 << 30 / 10 * 8}, true},
		{queue.Tally{Items: 5000, Bytes: 1 << 32}, true}, // the bounds were set lower
	} {
		f, alarm := fills(3, c.owed, limit)
		want := peers.Filling{Group: 3, Items: c.owed.Items, Bytes: c.owed.Bytes, MostItems: 1000, MostBytes: 1 << 30}
		if alarm != c.alarm || f != want {
			t.Errorf("%+v: %+v, alarm %v", c.owed, f, alarm)
		}
	}
	if _, alarm := fills(3, queue.Tally{Items: 1 << 40}, delivery.Limit{}); alarm {
		t.Error("an alarm without a bound")
	}
}
