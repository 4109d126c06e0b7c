package outbound

import (
	"math/rand/v2"
	"time"
)

// Schedule says when what failed is tried again.
type Schedule struct {
	// First is the wait after the first attempt; each wait is twice the one
	// before, up to Most.
	First, Most time.Duration
	// Expire is the age at which a message that still fails goes back.
	Expire time.Duration
	// Notice is the age at which its sender is told that it is late.
	Notice time.Duration
}

// again is the wait after a number of failed attempts, up to a quarter more or
// less, so that what failed together does not come back together.
func (s *Schedule) again(tries uint32) time.Duration {
	wait := s.First
	for i := uint32(0); i < tries && wait < s.Most; i++ {
		wait *= 2
	}
	wait = min(wait, s.Most)
	return wait*3/4 + rand.N(wait/2+1)
}
