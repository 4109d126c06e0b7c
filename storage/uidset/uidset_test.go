package uidset

import (
	"math/rand/v2"
	"slices"
	"testing"

	"rookery"
)

// TestUIDsAgainstASet compares every operation with a plain sorted slice.
func TestUIDsAgainstASet(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func() (Set, []rookery.UID) {
		var plain []rookery.UID
		base := rookery.UID(rng.IntN(3) * 30)
		for u := rookery.UID(1); u < 60; u++ {
			if rng.IntN(3) > 0 && rng.IntN(8) > 0 {
				plain = append(plain, base+u)
			}
		}
		shuffled := slices.Clone(plain)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		return New(shuffled...), plain
	}
	check := func(what string, u Set, want []rookery.UID) {
		t.Helper()
		if got := slices.Collect(u.All()); !slices.Equal(got, want) || u.Len() != len(want) {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
		for i, uid := range want {
			if seq, ok := u.Seq(uid); !ok || seq != uint32(i+1) || u.At(seq) != uid || u.Below(uid) != uint32(i) {
				t.Fatalf("%s: seq of %d is %d", what, uid, seq)
			}
		}
		for i := 1; i < len(u.Runs()); i++ {
			if u.Runs()[i].Start <= u.Runs()[i-1].End()+1 {
				t.Fatalf("%s: runs %v touch", what, u.Runs())
			}
		}
		b, _ := u.MarshalBinary()
		var again Set
		if err := again.UnmarshalBinary(b); err != nil || !again.Equal(u) {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for range 300 {
		u, a := random()
		v, b := random()
		inB := func(x rookery.UID) bool { return slices.Contains(b, x) }
		inA := func(x rookery.UID) bool { return slices.Contains(a, x) }
		check("new", u, a)
		check("without", u.Without(v), slices.DeleteFunc(slices.Clone(a), inB))
		check("intersect", u.Intersect(v), slices.DeleteFunc(slices.Clone(a), func(x rookery.UID) bool { return !inB(x) }))
		both := append(slices.Clone(a), slices.DeleteFunc(slices.Clone(b), inA)...)
		slices.Sort(both)
		check("union", u.Union(v), both)
		next := u.Last() + rookery.UID(1+rng.IntN(3))
		check("append", u.Append(next), append(slices.Clone(a), next))
		check("append below", u.Append(u.Last()), a)
		check("unchanged", u, a)
		if u.At(0) != 0 || u.At(uint32(len(a)+1)) != 0 || u.Contains(next) {
			t.Fatal("a message that is not there")
		}
	}
}

func TestUIDsAtTheEdges(t *testing.T) {
	all := Range(1, 0xffffffff)
	if all.Len() != 0xffffffff || all.Last() != 0xffffffff || all.At(0xffffffff) != 0xffffffff {
		t.Error(all)
	}
	if got := all.Without(Range(2, 0xfffffffe)).String(); got != "1,4294967295" {
		t.Error(got)
	}
	if got := New(0, 5, 5, 6, 9).String(); got != "5:6,9" {
		t.Error(got)
	}
	if !Range(5, 4).Empty() || !(Set{}).Empty() || (Set{}).First() != 0 || (Set{}).Last() != 0 {
		t.Error("empty lists are not")
	}
	for _, bad := range [][]byte{{1}, {0, 1}, {1, 0}, {1, 1, 1, 1}, {0xff, 0xff, 0xff, 0xff, 0x10, 1}, {5, 0xff, 0xff, 0xff, 0xff, 0x0f}} {
		var u Set
		if u.UnmarshalBinary(bad) == nil {
			t.Errorf("% x is %s", bad, u)
		}
	}
}
