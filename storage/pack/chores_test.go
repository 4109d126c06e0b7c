package pack

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"rookery/storage/command"
	"rookery/storage/mailbox"
)

func testChores(r Repack) (*Packer, *chores, func(name string, total, live int64, age time.Duration)) {
	p := NewPacker(Options{Repack: func() Repack { return r }})
	c, now := &chores{}, time.Now()
	return p, c, func(name string, total, live int64, age time.Duration) {
		p.consider(c, mailbox.Pack{ID: command.PackID(name), Size: total + 100, Total: total, Live: live, Bodies: 10, LiveBodies: 10,
			Created: now.Add(-age).UnixNano()}, now)
	}
}

func names(packs []mailbox.Pack) string {
	s := ""
	for _, k := range packs {
		s += string(k.ID) + " "
	}
	return s
}

func TestWorstPacksAreRewrittenFirst(t *testing.T) {
	p, c, pack := testChores(Repack{Below: 60, After: 24 * time.Hour})
	const mib = 1 << 20
	pack("half", 8*mib, 4*mib, 48*time.Hour)
	pack("full", 8*mib, 7*mib, 48*time.Hour)
	pack("atlimit", 10*mib, 6*mib, 48*time.Hour)
	pack("worst", 8*mib, 1, 48*time.Hour)
	pack("young", 8*mib, 1, time.Hour)
	pack("third", 8*mib, 3*mib, 48*time.Hour)
	pack("more", 8*mib, 4*mib+1, 25*time.Hour)
	p.shunned["bad"] = true
	pack("bad", 8*mib, 1, 48*time.Hour)
	c.sort()
	if got := names(c.next(8 * mib)); got != "worst third half " {
		t.Errorf("first %s", got)
	}
	if got := names(c.next(8 * mib)); got != "more " {
		t.Errorf("then %s", got)
	}
	if got := c.next(8 * mib); got != nil {
		t.Errorf("and %s", names(got))
	}
}

func TestSmallPacksAreMergedByTiers(t *testing.T) {
	_, c, pack := testChores(Repack{Below: 60, After: 24 * time.Hour, Merge: time.Hour})
	for i := range 15 {
		pack(fmt.Sprintf("s%02d", i), 5000, 5000, 2*time.Hour)
	}
	pack("young", 5000, 5000, time.Minute)
	pack("larger", 80_000, 80_000, 2*time.Hour)
	if got := c.next(8 << 20); got != nil {
		t.Errorf("merged %s: too few of one size", names(got))
	}
	pack("s15", 5000, 5000, 2*time.Hour)
	if got := c.next(8 << 20); len(got) != 16 || got[0].ID != "s00" {
		t.Errorf("merged %s", names(got))
	}
	for i := range 20 {
		pack(fmt.Sprintf("m%02d", i), 1<<20, 1<<20, 2*time.Hour)
	}
	if got := c.next(8 << 20); len(got) != 8 {
		t.Errorf("merged %s: more than one pack takes", names(got))
	}
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 600 << 20
		b := NewBudget(rate)
		begin, spent := time.Now(), int64(0)
		for time.Since(begin) < 3*time.Hour {
			wait, ok := b.take(20 << 20)
			if ok {
				spent += 20 << 20
				continue
			}
			time.Sleep(wait)
		}
		if spent < 3*rate*98/100 || spent > 3*rate*103/100 {
			t.Errorf("%d MiB in three hours, %d MiB allowed", spent>>20, 3*rate>>20)
		}
		b.Set(0)
		for range 3 {
			time.Sleep(time.Hour)
			if _, ok := b.take(1); ok {
				t.Error("something was spent of nothing")
			}
		}
		time.Sleep(100 * time.Hour)
		b.Set(rate)
		time.Sleep(100 * time.Hour) // nothing is saved up but a minute's worth
		for spent = 0; ; spent += 1 << 20 {
			if _, ok := b.take(1 << 20); !ok {
				break
			}
		}
		if spent > rate/60+2<<20 {
			t.Errorf("%d MiB at once after a pause", spent>>20)
		}
	})
}
