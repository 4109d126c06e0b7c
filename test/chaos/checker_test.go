package chaos

import "testing"

// The checker is checked: each broken promise must be seen.
func TestLedgerSeesBrokenPromises(t *testing.T) {
	fresh := func() *ledger {
		l := newLedger()
		for _, id := range []string{"a", "b"} {
			l.begin(id, []string{"u"})
			l.ack(id)
		}
		if wrong := l.observe("u", 1, map[uint32]string{1: "a", 2: "b"}); wrong != nil {
			t.Fatalf("a right mailbox is called wrong: %v", wrong)
		}
		return l
	}
	for name, c := range map[string]struct {
		validity uint32
		box      map[uint32]string
	}{
		"duplicate":    {1, map[uint32]string{1: "a", 2: "b", 3: "a"}},
		"renamed":      {1, map[uint32]string{1: "b", 2: "a"}},
		"gone":         {1, map[uint32]string{1: "a"}},
		"new validity": {2, map[uint32]string{1: "a", 2: "b"}},
		"never sent":   {1, map[uint32]string{1: "a", 2: "b", 3: "x"}},
	} {
		if fresh().observe("u", c.validity, c.box) == nil {
			t.Errorf("%s: not seen", name)
		}
	}
	l := fresh()
	l.observe("u", 1, map[uint32]string{1: "a", 2: "b", 9: "c"})
	l.begin("d", []string{"u"})
	if l.observe("u", 1, map[uint32]string{1: "a", 2: "b", 9: "c", 5: "d"}) == nil {
		t.Error("a new UID below an old one: not seen")
	}
	l.begin("e", []string{"u"})
	l.ack("e")
	if len(l.missing(map[string]map[uint32]string{"u": {1: "a", 2: "b"}})) != 1 {
		t.Error("a lost message: not seen")
	}
}
