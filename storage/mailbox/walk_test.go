package mailbox

import (
	"math/rand/v2"
	"testing"

	"rookery"
)

// A walk finds in any order what a single look-up finds, and nothing else.
func TestWalk(t *testing.T) {
	f, a := newAccount(t, 0)
	const n = 200
	for i := 1; i <= n; i += 2 {
		f.deliver(a, i)
	}
	check := func(order []int) {
		t.Helper()
		v := f.view(a)
		defer v.Close()
		for _, i := range order {
			got, err := v.Email(emailID(i))
			single := f.view(a)
			want, wantErr := single.Email(emailID(i))
			single.Close()
			if got.Body != want.Body || got.ID != want.ID || string(got.Extract) != string(want.Extract) ||
				rookery.KindOf(err) != rookery.KindOf(wantErr) {
				t.Fatalf("email %d: body %d, %v; want %d, %v", i, got.Body, err, want.Body, wantErr)
			}
			if there := i%2 == 1; there != (err == nil) {
				t.Fatalf("email %d: %v", i, err)
			}
		}
	}
	var rising []int
	for i := 1; i <= n; i++ {
		rising = append(rising, i)
	}
	check(rising)
	check([]int{1, 3, 5, 7, 9, 199, 11, 13, 15, 17, 19, 21, 1, 3, 4, 5, 6, 7, 8, 9, 10})
	check(rand.Perm(n))
}
