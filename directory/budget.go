package directory

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"rookery"
)

// Budget bounds the searches that a Cache makes for clients who ask for
// addresses that nobody has. Zero values mean the defaults. Addresses that
// somebody had when they were last asked for cost nothing of it.
type Budget struct {
	// Rate is how many such searches there may be in a second (10) after Burst
	// of them (20), of one client network (2, after 20).
	Rate, ClientRate   float64
	Burst, ClientBurst float64
	// InFlight is how many searches for clients run at a time (16). Others wait
	// for as long as their client may.
	InFlight int
	// Clients is how many client networks are told apart (50,000).
	Clients int
}

func (b Budget) withDefaults() Budget {
	for _, f := range []struct {
		have *float64
		def  float64
	}{{&b.Rate, 10}, {&b.ClientRate, 2}, {&b.Burst, 20}, {&b.ClientBurst, 20}} {
		if *f.have <= 0 {
			*f.have = f.def
		}
	}
	if b.InFlight <= 0 {
		b.InFlight = 16
	}
	if b.Clients <= 0 {
		b.Clients = 50_000
	}
	return b
}

type clientKey struct{}

// ForClient marks what is asked with the context as asked for a client of the
// network, an address or the /64 of an IPv6 one, which has a budget.
func ForClient(ctx context.Context, network netip.Prefix) context.Context {
	return context.WithValue(ctx, clientKey{}, network)
}

// clientOf is the network of the client that is asked for; ok is false where
// the system itself asks.
func clientOf(ctx context.Context) (network netip.Prefix, ok bool) {
	network, ok = ctx.Value(clientKey{}).(netip.Prefix)
	return network, ok
}

// ErrOverBudget is in the chain of the KindUnavailable of a look-up that was
// not made, because its client, or all together, have asked for too many
// addresses that nobody has. It says nothing about this one.
var ErrOverBudget = errors.New("too many look-ups of unknown addresses; try again later")

func overBudget() error {
	return rookery.E("look up recipient", rookery.KindUnavailable, ErrOverBudget)
}

// strangers is what has been spent of a Budget.
type strangers struct {
	budget Budget
	slots  chan struct{} // one token for each search that runs

	mu      sync.Mutex
	all     spent
	clients *simplelru.LRU[netip.Prefix, spent]
}

// spent is a bucket that leaks.
type spent struct {
	searches float64
	at       time.Time
}

func (s spent) leaked(rate float64, now time.Time) spent {
	return spent{max(0, s.searches-rate*max(0, now.Sub(s.at).Seconds())), now}
}

func newStrangers(b Budget) *strangers {
	b = b.withDefaults()
	clients, _ := simplelru.NewLRU[netip.Prefix, spent](b.Clients, nil) // fails for a size below 1 only
	return &strangers{budget: b, slots: make(chan struct{}, b.InFlight), clients: clients}
}

// enter waits for a slot. The caller must call leave.
func (s *strangers) enter(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return overBudget()
	}
}

func (s *strangers) leave() { <-s.slots }

// take spends one search of a client, or reports that there is none left.
func (s *strangers) take(client netip.Prefix, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.all.leaked(s.budget.Rate, now)
	one, _ := s.clients.Get(client)
	one = one.leaked(s.budget.ClientRate, now)
	if all.searches+1 > s.budget.Burst || one.searches+1 > s.budget.ClientBurst {
		return false
	}
	s.all = spent{all.searches + 1, now}
	s.clients.Add(client, spent{one.searches + 1, now})
	return true
}

// giveBack undoes a take: somebody has the address.
func (s *strangers) giveBack(client netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.searches = max(0, s.all.searches-1)
	if one, ok := s.clients.Peek(client); ok {
		s.clients.Add(client, spent{max(0, one.searches-1), one.at})
	}
}
