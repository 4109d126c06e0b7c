package plural

import "testing"

func TestOf(t *testing.T) {
	for n, want := range map[int]string{0: "0 bodies", 1: "1 body", 2: "2 bodies"} {
		if got := Of(n, "body"); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	if got := Are(2, "node") + ", " + Are(1, "node"); got != "2 nodes are, 1 node is" {
		t.Error(got)
	}
}
