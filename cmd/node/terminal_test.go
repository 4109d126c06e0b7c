package node

import (
	"errors"
	"testing"
)

// A node that cannot go on says so, with the first reason.
func TestEndedSaysWhy(t *testing.T) {
	n := &Node{ending: newTerminal()}
	first := errors.New("first")
	n.ending.end(first)
	n.ending.end(errors.New("second"))
	select {
	case <-n.Ended():
	default:
		t.Fatal("the node goes on")
	}
	if n.Err() != first {
		t.Errorf("it ended with %v", n.Err())
	}
}
