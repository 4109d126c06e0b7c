package dsn

import (
	"strings"
	"testing"

	"rookery"
)

func TestDue(t *testing.T) {
	alice := rookery.Address{Local: "alice", Domain: "example.com"}
	all := []Action{Failed, Delayed, Delivered, Relayed, Expanded}
	for notify, wanted := range map[string][]Action{
		"":                      {Failed, Delayed},
		"NEVER":                 nil,
		"SUCCESS":               {Delivered, Relayed, Expanded},
		"FAILURE":               {Failed},
		"DELAY":                 {Delayed},
		"SUCCESS,FAILURE":       {Failed, Delivered, Relayed, Expanded},
		"SUCCESS,FAILURE,DELAY": all,
	} {
		n := ParseNotify(strings.Split(notify, ","))
		if n.String() != notify {
			t.Errorf("%q is passed on as %q", notify, n)
		}
		var got []Action
		for _, a := range all {
			if Due(alice, n, a) {
				got = append(got, a)
			}
			if Due(rookery.Address{}, n, a) {
				t.Errorf("%q: the null sender is told %s", notify, a)
			}
		}
		if len(got) != len(wanted) {
			t.Errorf("%q is told %v, want %v", notify, got, wanted)
			continue
		}
		for i := range got {
			if got[i] != wanted[i] {
				t.Errorf("%q is told %v, want %v", notify, got, wanted)
			}
		}
	}
}

func TestOfSuccess(t *testing.T) {
	for _, c := range []struct {
		local, knows bool
		action       Action
		ours         bool
	}{{true, false, Delivered, true}, {false, false, Relayed, true}, {false, true, Relayed, false}} {
		if a, ours := OfSuccess(c.local, c.knows); a != c.action || ours != c.ours {
			t.Errorf("%+v: %s, %t", c, a, ours)
		}
	}
}

func TestXtext(t *testing.T) {
	for plain, coded := range map[string]string{
		"QQ314159":          "QQ314159",
		"a+b=c d@e":         "a+2Bb+3Dc+20d@e",
		`"q uoted"@e`:       `"q+20uoted"@e`,
		"\u00e4@example.de": "+C3+A4@example.de",
	} {
		if got := EncodeXtext(plain); got != coded {
			t.Errorf("%q is encoded as %q, want %q", plain, got, coded)
		}
		if got, err := DecodeXtext(coded, 100); err != nil || got != plain {
			t.Errorf("%q is decoded as %q (%v), want %q", coded, got, err, plain)
		}
	}
	for _, bad := range []string{"a=b", "a b", "+", "+4", "+g0", "+0D+0AEvil:", "a\tb", strings.Repeat("x", 101)} {
		if got, err := DecodeXtext(bad, 100); err == nil {
			t.Errorf("%q is decoded as %q", bad, got)
		}
	}
}

func FuzzXtext(f *testing.F) {
	f.Add("a+2B=")
	f.Add("ä +")
	f.Fuzz(func(t *testing.T, s string) {
		coded := EncodeXtext(s)
		if !isASCII(coded) || strings.ContainsAny(coded, "\r\n =") {
			t.Errorf("%q is encoded as %q", s, coded)
		}
		got, err := DecodeXtext(coded, len(s))
		if control := strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }); !control && (err != nil || got != s) {
			t.Errorf("%q comes back as %q: %v", s, got, err)
		}
		for _, international := range []bool{false, true} {
			onward := OnwardORCPT(s, rookery.Address{Local: s, Domain: "example.org"}, international)
			kind, address, _ := strings.Cut(onward, ";")
			if !isAtom(kind) || address == "" || strings.ContainsAny(address, "\r\n =\x00\x7f") || !international && !isASCII(onward) {
				t.Errorf("%q is passed on as %q", s, onward)
			}
		}
		if got, err := DecodeXtext(s, 500); err == nil && (len(got) > 500 || strings.ContainsAny(got, "\r\n\x00")) {
			t.Errorf("%q is decoded as %q", s, got)
		}
	})
}
