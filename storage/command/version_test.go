package command

import "testing"

// Every type has a version, and none above what the binary says it reads.
func TestEveryCommandHasAVersion(t *testing.T) {
	highest := uint32(0)
	for ty := Type(0); ty < 256; ty++ {
		v := Introduced(ty)
		if (New(ty) != nil) != (v != 0) {
			t.Errorf("type %d has version %d", ty, v)
		}
		highest = max(highest, v)
	}
	if highest != newest {
		t.Errorf("the newest command has version %d, newest is %d", highest, newest)
	}
}
