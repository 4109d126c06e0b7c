package edge

import (
	"testing"

	"rookery"
)

// TestAdoptedSessionsAreBounded has one more than there may be, and one gone.
func TestAdoptedSessionsAreBounded(t *testing.T) {
	s := &handover{}
	for range 2 {
		if err := s.enter(2); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.enter(2); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("beyond the bound: %v", err)
	}
	s.adopted.Add(-1)
	if err := s.enter(2); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
