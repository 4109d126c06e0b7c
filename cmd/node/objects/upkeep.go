package objects

import (
	"context"
	"time"

	"rookery/storage/account"
)

// Upkeep looks after stored mail where that takes an account's key or deletes
// mail: it purges what was expunged, and checks, mends and finds packs.
type Upkeep struct {
	*Service
	accounts     *account.Store
	expungedDays func() int
	purgeEvery   time.Duration
}

// Upkeep makes it of the accounts, and checks groups for other nodes from now
// on. Expunged mail stays for expungedDays, and is searched for every purgeEvery.
func (s *Service) Upkeep(accounts *account.Store, expungedDays func() int, purgeEvery time.Duration) *Upkeep {
	u := &Upkeep{s, accounts, expungedDays, purgeEvery}
	u.serveChecks()
	return u
}

// Run purges until ctx ends.
func (u *Upkeep) Run(ctx context.Context) error { return u.purge(ctx) }
