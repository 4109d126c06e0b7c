package system

import (
	"fmt"
	"testing"

	"rookery"
	"rookery/storage/command"
)

func TestOperatorHolds(t *testing.T) {
	f := open(t)
	hold := func(name string, from, to int64) *command.PlaceHold {
		return &command.PlaceHold{Hold: command.Hold{Kind: command.HoldOperator, Name: name, From: from, To: to, Reason: "why"}, Time: 9}
	}
	f.must(hold("b", 5, 0))
	f.must(hold("b", 5, 0))
	f.refused(rookery.KindExists, "", hold("b", 5, 6))
	f.must(hold("a", 5, 5))
	if got, err := f.m.Holds(); err != nil || len(got) != 2 || got[0] != (Hold{Name: "a", From: 5, To: 5, Reason: "why", Placed: 9}) {
		t.Errorf("%+v %v", got, err)
	}
	f.must(&command.LiftHold{Name: "a"})
	f.must(&command.LiftHold{Name: "a"})
	if got, err := f.m.Holds(); err != nil || len(got) != 1 || got[0].Name != "b" {
		t.Errorf("%+v %v", got, err)
	}
	bad := hold("x", 6, 5)
	f.refused(rookery.KindInvalid, "", bad)
	bad = hold("x", 6, 7)
	bad.Hold.Kind = command.HoldPin
	f.refused(rookery.KindInvalid, "", bad)
	f.refused(rookery.KindInvalid, "", hold("", 6, 7))
	for i := range MaxHolds - 1 {
		f.must(hold(fmt.Sprint(i), 1, 1))
	}
	f.refused(rookery.KindLimit, "", hold("one more", 1, 1))
}

func TestSweepsAreRemembered(t *testing.T) {
	f := open(t)
	for _, c := range []struct{ end, want int64 }{{50, 50}, {40, 50}, {60, 60}} {
		f.must(&command.Swept{Time: c.end, Objects: uint64(c.end), Bytes: c.end})
		if last, err := f.m.Swept(); last != (Sweep{c.want, uint64(c.want), c.want}) || err != nil {
			t.Errorf("after %d: %+v %v", c.end, last, err)
		}
	}
	f.refused(rookery.KindInvalid, "", &command.Swept{})
}
