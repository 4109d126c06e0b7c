package dictionary

import (
	"index/suffixarray"
	"slices"
	"sort"
)

// text is all samples in one, with what is needed to say whose a place is.
type text struct {
	all    []byte
	starts []int // of the samples in all
	who    []uint32
	talk   []uint32
	index  *suffixarray.Index
}

// newText joins the samples, those of one account behind each other.
func newText(samples []Sample) *text {
	samples = slices.Clone(samples)
	slices.SortStableFunc(samples, func(a, b Sample) int { return slices.Compare(a.Account[:], b.Account[:]) })
	t := &text{}
	accounts, talks := map[string]uint32{}, map[string]uint32{}
	number := func(m map[string]uint32, k string) uint32 {
		if _, ok := m[k]; !ok {
			m[k] = uint32(len(m) + 1)
		}
		return m[k]
	}
	for _, s := range samples {
		t.starts = append(t.starts, len(t.all))
		t.who = append(t.who, number(accounts, string(s.Account[:])))
		t.talk = append(t.talk, number(talks, s.Talk))
		t.all = append(t.all, Cut(s.Text)...)
	}
	t.index = suffixarray.New(t.all)
	return t
}

// end is where sample i ends.
func (t *text) end(i int) int {
	if i+1 < len(t.starts) {
		return t.starts[i+1]
	}
	return len(t.all)
}

// sampleAt is the sample that holds the byte at off.
func (t *text) sampleAt(off int) int {
	return sort.Search(len(t.starts), func(i int) bool { return t.starts[i] > off }) - 1
}

// maxPlaces bounds the occurrences of a string that are looked at. One with
// more of them, which happen to lie in too few accounts, does not count as
// shared: the doubt is on the side of leaving out.
const maxPlaces = 4096

// shared reports whether s occurs, whole and inside one sample, in at least
// least accounts and least conversations.
func (t *text) shared(s []byte, least int) bool {
	places := t.index.Lookup(s, maxPlaces)
	if len(places) < least {
		return false
	}
	accounts, talks := make(map[uint32]bool, least), make(map[uint32]bool, least)
	for _, off := range places {
		i := t.sampleAt(off)
		if off+len(s) > t.end(i) {
			continue // reaches from one sample into the next
		}
		accounts[t.who[i]], talks[t.talk[i]] = true, true
		if len(accounts) >= least && len(talks) >= least {
			return true
		}
	}
	return false
}

// sharedPrefix is how long the longest prefix of s is that is shared, 0 if it
// is shorter than minPiece.
func (t *text) sharedPrefix(s []byte, least int) int {
	if len(s) < minPiece || !t.shared(s[:minPiece], least) {
		return 0
	}
	// A prefix of what is shared is shared.
	return minPiece + sort.Search(len(s)-minPiece, func(n int) bool { return !t.shared(s[:minPiece+n+1], least) })
}
