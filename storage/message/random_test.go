package message

import (
	"math/rand/v2"
	"testing"

	"rookery/storage/message/messagetest"
)

func TestRandomStructures(t *testing.T) {
	runs := 12_000
	if testing.Short() {
		runs = 3_000
	}
	rnd := rand.New(rand.NewPCG(7, 8))
	for range runs {
		msg := messagetest.Random(rnd)
		e := extractString(t, msg)
		if rnd.IntN(4) == 0 {
			inPieces(t, msg, e)
		}
		findAll(t, e.Structure, nil, 0)
	}
}
