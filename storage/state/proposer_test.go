package state

import (
	"context"
	"testing"
	"time"

	"rookery"
)

func TestProposerKeepsWithinTheWindow(t *testing.T) {
	p := NewProposer("a", 3, func() time.Time { return time.Unix(5, 0) })
	ctx := context.Background()
	h, first, err := p.Next(ctx)
	if err != nil || h != (Header{Node: "a", Epoch: 3, Seq: 1, Low: 1, Time: 5e9}) {
		t.Fatalf("%+v, %v", h, err)
	}
	for range Window - 1 {
		_, done, err := p.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		done()
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := p.Next(gone); !rookery.Is(err, rookery.KindLimit) {
		t.Errorf("beyond the window: %v", err)
	}
	got := make(chan Header)
	go func() {
		h, _, _ := p.Next(ctx)
		got <- h
	}()
	first()
	if h := <-got; h.Seq != Window+1 || h.Low != Window+1 {
		t.Errorf("after the oldest was done: %+v", h)
	}
}
