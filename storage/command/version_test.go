package command

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// Every type has a version, and none above what the binary says it reads.
func TestEveryCommandHasAVersion(t *testing.T) {
	highest := uint32(0)
	for ty := Type(0); ty < 256; ty++ {
		v := Introduced(ty)
		if (New(ty) != nil) != (v != 0) {
			t.Errorf("type %d has version %d", ty, v)
		}
		if v > newest {
			t.Errorf("type %d came with version %d, above %d", ty, v, newest)
		}
		highest = max(highest, v)
		// The first version is closed: its commands are these for ever.
		if v == 1 && !(ty <= 22 || ty >= 64 && ty <= 75) {
			t.Errorf("type %d is new: give it a version in introduced", ty)
		}
	}
	if highest != newest {
		t.Errorf("the newest command has version %d, newest is %d", highest, newest)
	}
}

// TestGolden pins the bytes of the samples of version 1: old logs hold
// them. A field may be added behind; what is written here must not change.
func TestGolden(t *testing.T) {
	h := sha256.New()
	for _, c := range samples() {
		if Introduced(c.Type()) == 1 {
			h.Write(Encode(c))
		}
	}
	const want = "cd74e006a8d68bd67cad44de"
	if got := hex.EncodeToString(h.Sum(nil)[:12]); got != want {
		t.Errorf("the samples encode to %s, in the logs of earlier versions to %s", got, want)
	}
}
