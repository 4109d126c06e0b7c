package command

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A Deliver that keeps what it filed account by account says so; one that does
// not is the bytes it was before there was such a thing.
func TestEachTravels(t *testing.T) {
	c := &Deliver{FromIntent: &IntentID{9}, Payload: []byte("body")}
	before := Encode(c)
	c.Each = true
	after := Encode(c)
	if len(after) <= len(before) {
		t.Fatal("Each is not encoded")
	}
	got, _, err := Decode(after)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Command(c), got, compareUIDs); d != "" {
		t.Error(d)
	}
}
