package signin

import "time"

// Limits bound what guessing costs, for all protocols of a node together. Zero
// fields take the default given.
type Limits struct {
	// Failures is how many end a connection; the protocols count them (4).
	Failures int
	// Delay is the delay of the answer to a first failure (1 s, negative for
	// none). It doubles with each further one of the same name from the same
	// network, up to LongestDelay (16 s). A sign-in that is refused for a
	// budget overdrawn waits the longest.
	Delay, LongestDelay time.Duration

	// Account bounds the binds that fail for one account, whatever names it is
	// tried by (10 at once, then one in 3 min). Reserve of them are kept for
	// networks that the account has signed in from (3), so that strangers use up
	// the rest only.
	Account Budget
	Reserve int
	// Network bounds the different wrong passwords from one network, for all
	// accounts together (50 at once, then one in 10 s), and Pair those for one
	// account (5 at once, then one in 10 min), so that no single network uses
	// up what an account has for strangers. A network is an IPv4 address or the
	// /64 of an IPv6 one. Neither counts for an account that has signed in from
	// there.
	Network, Pair Budget
	// Known is how long a network counts as one that the account has signed in
	// from (24 h).
	Known time.Duration

	// Right is how long a right password needs no new bind (5 min); who the
	// login is, and whether it is disabled, is asked all the same. Wrong is how
	// long a wrong one is refused unasked at first (2 min): it doubles each time
	// that the directory refuses the same password again, up to 16 times as long.
	// Disabled is the same for a disabled account (15 s), up to Wrong.
	Right, Wrong, Disabled time.Duration
	// Check is the time for one check, whoever waits for it (20 s).
	Check time.Duration
	// Keys is the most that is remembered of each kind (50,000).
	Keys int
}

func (l Limits) withDefaults() Limits {
	def(&l.Failures, 4)
	def(&l.Delay, time.Second)
	def(&l.LongestDelay, 16*time.Second)
	def(&l.Account, Budget{10, 3 * time.Minute})
	def(&l.Reserve, 3)
	def(&l.Network, Budget{50, 10 * time.Second})
	def(&l.Pair, Budget{5, 10 * time.Minute})
	def(&l.Known, 24*time.Hour)
	def(&l.Right, 5*time.Minute)
	def(&l.Wrong, 2*time.Minute)
	def(&l.Disabled, 15*time.Second)
	def(&l.Check, 20*time.Second)
	def(&l.Keys, 50_000)
	return l
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
