package wire

import (
	"testing"
)

func parseSet(t testing.TB, s string) (NumSet, error) {
	l, _ := lexer(s + "\r\n")
	l.Begin(Limits{Line: 1 << 20})
	set := l.NumSet()
	l.End()
	return set, l.Err()
}

func TestNumSet(t *testing.T) {
	for _, tc := range []struct {
		in   string
		max  uint32
		want string
	}{
		{"1", 5, "1"}, {"3:1", 5, "1:3"}, {"*", 5, "5"}, {"*", 0, ""}, {"*:3", 5, "3:5"}, {"7:*", 5, "5:7"},
		{"1,2,3,5", 9, "1:3,5"}, {"5,1:3,2:4", 9, "1:5"}, {"4294967295", 9, "4294967295"}, {"1:4294967295", 9, "1:4294967295"},
		{"2,4294967294:4294967295", 9, "2,4294967294:4294967295"},
	} {
		set, err := parseSet(t, tc.in)
		if err != nil {
			t.Errorf("%q: %v", tc.in, err)
			continue
		}
		if got := set.Resolve(tc.max).String(); got != tc.want {
			t.Errorf("%q resolves to %q, want %q", tc.in, got, tc.want)
		}
	}
	for _, in := range []string{"", "0", "1,", "1:", ":1", "a", "1,,2", "4294967296", "1:0", "**", "1 2", "-1"} {
		if set, err := parseSet(t, in); err == nil {
			t.Errorf("%q was read as %v", in, set)
		}
	}
}

func TestSet(t *testing.T) {
	var s Set
	for _, n := range []uint32{1, 2, 3, 7, 9, 10} {
		s.Add(n)
	}
	s.AddRange(11, 12)
	if s.String() != "1:3,7,9:12" || s.Max() != 12 {
		t.Errorf("%v, up to %d", s, s.Max())
	}
}

func FuzzSeqSet(f *testing.F) {
	for _, s := range []string{"1:*", "*", "5,1:3,2:4", "4294967295:1,*:7", "$", "1,2,3,4"} {
		f.Add(s, uint32(10))
	}
	f.Fuzz(func(t *testing.T, in string, max uint32) {
		set, err := parseSet(t, in)
		if err != nil {
			return
		}
		got := set.Resolve(max)
		for i, r := range got {
			if r.From == 0 || r.From > r.To || i > 0 && got[i-1].To >= r.From-1 {
				t.Fatalf("%q resolves to %v", in, got)
			}
		}
		if len(got) == 0 {
			return
		}
		again, err := parseSet(t, got.String())
		if err != nil || again.Resolve(max).String() != got.String() {
			t.Fatalf("%q is written as %q, which reads differently: %v", in, got, err)
		}
	})
}
