package habit

import (
	"testing"

	"rookery/storage/command"
)

var limit = command.Rate{Most: 1000, Surprise: 100}

// What an account may send in an hour is bounded, and the next hour it goes again.
func TestAnHourIsBounded(t *testing.T) {
	r, now := Record{}, 100*day+hour/2
	always := command.Rate{Most: 1000}
	if again := r.Send(1000, now, always); again != 0 {
		t.Fatalf("the first 1000: again at %d", again)
	}
	again := r.Send(1, now+1, always)
	if again != 100*day+hour || r.Sent != 1000 {
		t.Errorf("one more: again at %d with %d sent, want the next hour", again, r.Sent)
	}
	if again := r.Send(1, again, always); again != 0 || r.Sent != 1 {
		t.Errorf("in the next hour: again at %d, %d sent", again, r.Sent)
	}
}

// Far more than is usual is held until it is lifted, and makes no habit.
func TestWhatIsUnusualIsHeld(t *testing.T) {
	r, now := Record{}, 100*day
	r.Send(100, now, limit)
	if r.Held {
		t.Fatal("100 of an account that never sent are held; only more than that is unusual")
	}
	if r.Send(101, now+hour, limit); !r.Held || r.Usual(now+day) != 100 {
		t.Fatalf("101 more in an hour: held %v, usual %d", r.Held, r.Usual(now+day))
	}
	if r.Send(1, now+2*day, limit); !r.Held {
		t.Error("it let go by itself")
	}
	now += 2 * day
	r.Lift(now)
	if r.Send(700, now, limit); r.Held {
		t.Error("it is held although an administrator let it go")
	}
	if r.Send(800, now+3*day, limit); r.Held {
		t.Errorf("800 are held, where %d are usual", r.Usual(now+3*day))
	}
	if r.Send(1, now+3*day, limit); r.Usual(now+4*day) < 801 {
		t.Errorf("usual are %d", r.Usual(now+4*day))
	}
}

// A habit is 30 days long, and its record stays small.
func TestAHabitEnds(t *testing.T) {
	r := Record{}
	r.Send(90, 0, limit)
	for d := int64(1); d < 100; d++ {
		r.Send(1, d*day, limit)
	}
	if r.Usual(100*day) != 1 || len(r.Days) > days+1 {
		t.Errorf("usual are %d, from %d days", r.Usual(100*day), len(r.Days))
	}
	off := command.Rate{}
	if r.Send(1_000_000, 101*day, off); r.Held {
		t.Error("held, although that is off")
	}
}
