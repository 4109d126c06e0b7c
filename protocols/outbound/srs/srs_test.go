package srs

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"rookery"
)

var (
	now  = time.Date(2026, 11, 30, 23, 5, 0, 0, time.UTC)
	old  = bytes.Repeat([]byte{1}, 16)
	key  = bytes.Repeat([]byte{2}, 32)
	next = bytes.Repeat([]byte{3}, 32)
)

const day24 = 24 * time.Hour

func rewriter(t testing.TB, domain string, keys ...[]byte) *Rewriter {
	t.Helper()
	r, err := New(domain, keys, 21)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func forward(t *testing.T, r *Rewriter, sender rookery.Address) rookery.Address {
	t.Helper()
	a, err := r.Forward(sender, now)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Local) > maxLocal {
		t.Errorf("%q has a local part of %d octets", a, len(a.Local))
	}
	if again, err := rookery.ParseAddress(a.String()); err != nil || again != a {
		t.Errorf("%q is read as %q: %v", a, again, err)
	}
	return a
}

func reverse(t *testing.T, r *Rewriter, a rookery.Address) rookery.Address {
	t.Helper()
	back, err := r.Reverse(a, now)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func TestForwardAndBack(t *testing.T) {
	r := rewriter(t, "fwd.example", key)
	for _, sender := range []rookery.Address{
		{Local: "alice", Domain: "example.com"}, {Local: "Alice.X+y", Domain: "example.com"}, {Local: "a=b=c", Domain: "x.example"},
		{Local: "srs0", Domain: "example.com"}, {Local: "srs0bob", Domain: "x.example"}, {Local: "SRS1=x", Domain: "x.example"},
		{Local: "with blank", Domain: "x.example"}, {Local: "jörg", Domain: "xn--bcher-kva.example"}, {Local: "a", Domain: "[192.0.2.1]"},
	} {
		a := forward(t, r, sender)
		if a.Domain != "fwd.example" || !strings.HasPrefix(a.Local, "SRS0=") {
			t.Errorf("%q became %q", sender, a)
		}
		if back := reverse(t, r, a); back != sender {
			t.Errorf("%q became %q and then %q", sender, a, back)
		}
	}
	for _, stays := range []rookery.Address{{}, {Local: "bob", Domain: "fwd.example"}} {
		if a, err := r.Forward(stays, now); err != nil || a != stays {
			t.Errorf("%q became %q: %v", stays, a, err)
		}
	}
}

// Three forwarders in a row: the bounce goes back over the first alone.
func TestChain(t *testing.T) {
	alice := rookery.Address{Local: "alice", Domain: "a.example"}
	r1, r2, r3 := rewriter(t, "f1.example", key), rewriter(t, "f2.example", old), rewriter(t, "f3.example", next)
	one := forward(t, r1, alice)
	two := forward(t, r2, one)
	three := forward(t, r3, two)
	if !strings.HasPrefix(two.Local, "SRS1=") || !strings.Contains(two.Local, "=f1.example==") {
		t.Errorf("the second forwarder made %q", two)
	}
	if !strings.HasPrefix(three.Local, "SRS1=") || !strings.Contains(three.Local, "=f1.example==") || len(three.Local) != len(two.Local) {
		t.Errorf("the third forwarder made %q", three)
	}
	for _, hop := range []struct {
		r *Rewriter
		a rookery.Address
	}{{r3, three}, {r2, two}} {
		if back := reverse(t, hop.r, hop.a); back != one {
			t.Errorf("%q goes back to %q, want %q", hop.a, back, one)
		}
	}
	if back := reverse(t, r1, one); back != alice {
		t.Errorf("%q goes back to %q", one, back)
	}
	// Others write other separators, which must come back to them.
	for _, local := range []string{"SRS0+xyz=AB=a.example=alice", "srs0-xyz=AB=a.example=Alice", "SRS0=x"} {
		foreign := rookery.Address{Local: local, Domain: "f9.example"}
		back := reverse(t, r2, forward(t, r2, foreign))
		if back.Domain != foreign.Domain || back.Local[4:] != local[4:] || !strings.EqualFold(back.Local, local) {
			t.Errorf("%q comes back as %q", foreign, back)
		}
	}
}

// Hosts on the way change the case of local parts.
func TestCase(t *testing.T) {
	r := rewriter(t, "fwd.example", key)
	a := forward(t, r, rookery.Address{Local: "Alice", Domain: "a.example"})
	for _, local := range []string{strings.ToLower(a.Local), strings.ToUpper(a.Local)} {
		back := reverse(t, r, rookery.Address{Local: local, Domain: a.Domain})
		if !strings.EqualFold(back.Local, "alice") || back.Domain != "a.example" {
			t.Errorf("%q goes back to %q", local, back)
		}
	}
}

func TestKeys(t *testing.T) {
	alice := rookery.Address{Local: "alice", Domain: "a.example"}
	before := forward(t, rewriter(t, "fwd.example", old), alice)
	both := rewriter(t, "fwd.example", key, old)
	if reverse(t, both, before) != alice || forward(t, both, alice) == before {
		t.Error("the new key does not sign, or the old one does not verify")
	}
	if _, err := rewriter(t, "fwd.example", key).Reverse(before, now); !errors.Is(err, ErrForged) {
		t.Errorf("a key that is gone verifies: %v", err)
	}
	for name, keys := range map[string][][]byte{"none": nil, "a short one": {key, key[:15]}} {
		if _, err := New("fwd.example", keys, 21); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, validity := range []int{0, -1, MaxValidity + 1} {
		if _, err := New("fwd.example", [][]byte{key}, validity); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("valid for %d days: %v", validity, err)
		}
	}
}

func TestExpires(t *testing.T) {
	r := rewriter(t, "fwd.example", key)
	for _, at := range []time.Time{now, time.Unix(0, 0), time.Unix(86400*1023, 0), time.Unix(86400*1024-1, 0)} {
		a, err := r.Forward(rookery.Address{Local: "alice", Domain: "a.example"}, at)
		if err != nil {
			t.Fatal(err)
		}
		for days, valid := range map[int]bool{-2: false, -1: true, 0: true, 1: true, 21: true, 22: false, 300: false, 1000: false} {
			_, err := r.Reverse(a, at.Add(time.Duration(days)*day24))
			if valid != (err == nil) || err != nil && (!errors.Is(err, ErrExpired) || !rookery.Is(err, rookery.KindDenied)) {
				t.Errorf("%s, %d days later: %v", at, days, err)
			}
		}
	}
}

func TestForged(t *testing.T) {
	r := rewriter(t, "fwd.example", key)
	zero := forward(t, r, rookery.Address{Local: "alice", Domain: "a.example"})
	one := forward(t, r, rookery.Address{Local: "SRS0=abcd=AB=a.example=alice", Domain: "f1.example"})
	for _, a := range []rookery.Address{zero, one} {
		for i := 5; i < len(a.Local); i++ {
			for _, c := range []byte("xZ2=") {
				if strings.EqualFold(a.Local[i:i+1], string(c)) {
					continue
				}
				forged := rookery.Address{Local: a.Local[:i] + string(c) + a.Local[i+1:], Domain: a.Domain}
				if back, err := r.Reverse(forged, now); !errors.Is(err, ErrForged) || !rookery.Is(err, rookery.KindDenied) {
					t.Errorf("%q goes back to %q: %v", forged, back, err)
				}
			}
		}
	}
	for _, local := range []string{"SRS0=", "SRS0==", "SRS0====", "SRS0=a=b=c", "SRS1==x==y", "SRS1=a", "SRS1=a=b=c",
		"SRS0=abcdef=AB=x.example=victim"} {
		if back, err := r.Reverse(rookery.Address{Local: local, Domain: "fwd.example"}, now); err == nil {
			t.Errorf("%q goes back to %q", local, back)
		}
	}
	for _, a := range []rookery.Address{{Local: "bob", Domain: "fwd.example"}, {Local: "srs0bob", Domain: "fwd.example"},
		{Local: zero.Local, Domain: "x.example"}, {}} {
		if _, err := r.Reverse(a, now); !errors.Is(err, ErrNone) || !rookery.Is(err, rookery.KindNotFound) {
			t.Errorf("%q: %v", a, err)
		}
	}
}

func TestTooLong(t *testing.T) {
	r := rewriter(t, "fwd.example", key)
	if a, err := r.Forward(rookery.Address{Local: "a", Domain: "b=c.example"}, now); !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("a domain with the separator: %q, %v", a, err)
	}
	room := maxLocal - len("SRS0=hhhhhh=tt=a.example=")
	if _, err := r.Forward(rookery.Address{Local: strings.Repeat("x", room), Domain: "a.example"}, now); err != nil {
		t.Error(err)
	}
	for _, a := range []rookery.Address{
		{Local: strings.Repeat("x", room+1), Domain: "a.example"}, {Local: "SRS0=" + strings.Repeat("x", 50), Domain: "a.example"},
	} {
		if got, err := r.Forward(a, now); !errors.Is(err, ErrTooLong) || !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("%q became %q: %v", a, got, err)
		}
	}
}

func FuzzSRS(f *testing.F) {
	f.Add("alice", "a.example")
	f.Add("SRS0=abcd=AB=a.example=alice", "f1.example")
	f.Add("SRS1=abcdef=f1.example==abcd=AB=a.example=alice", "f2.example")
	f.Add("SRS1+x=y=-", "x")
	r := rewriter(f, "fwd.example", key, old)
	f.Fuzz(func(t *testing.T, local, domain string) {
		if back, err := r.Reverse(rookery.Address{Local: local, Domain: "fwd.example"}, now); err == nil {
			t.Errorf("%q, which we have not written, goes back to %q", local, back)
		}
		sender, err := rookery.UnquotedAddress(local + "@" + domain)
		if err != nil || sender.Domain == "fwd.example" {
			return
		}
		a, err := r.Forward(sender, now)
		if err != nil {
			return
		}
		back, err := r.Reverse(a, now)
		if err != nil {
			t.Fatalf("%q became %q: %v", sender, a, err)
		}
		if len(local) > 3 && strings.EqualFold(local[:3], "SRS") {
			return // goes back to the first forwarder
		}
		if back != sender {
			t.Errorf("%q became %q and then %q", sender, a, back)
		}
	})
}
