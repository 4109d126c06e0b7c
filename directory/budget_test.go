package directory

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
)

// TestUnknownAddressesHaveABudget asks for a minute for addresses that nobody
// has, as fast as it goes: from one network, then from 1,000. What people have
// is found meanwhile.
func TestUnknownAddressesHaveABudget(t *testing.T) {
	for _, c := range []struct{ networks, most int }{{1, 20 + 2*60}, {1000, 20 + 10*60}} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{domains: []string{"example.com"}, people: map[string]Entry{}, delay: 20 * time.Millisecond}
			for i := range 50 {
				a := rookery.Address{Local: fmt.Sprintf("user%d", i), Domain: "example.com"}
				s.people[a.Key()] = Entry{Key: a.Local}
			}
			cache := NewCache(s, CacheOptions{})
			for i := range 50 {
				a := rookery.Address{Local: fmt.Sprintf("user%d", i), Domain: "example.com"}
				if _, err := cache.Recipient(ForClient(t.Context(), netip.MustParsePrefix("198.51.100.1/32")), a); err != nil {
					t.Fatalf("%v is not found: %v", a, err)
				}
			}
			known := s.count("rcpt")
			var wg sync.WaitGroup
			end := time.Now().Add(time.Minute)
			for w := range 40 {
				wg.Go(func() {
					for i := w; time.Now().Before(end); i += 40 {
						client := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i % c.networks / 256), byte(i % c.networks)}), 32)
						_, err := cache.Recipient(ForClient(t.Context(), client), rookery.Address{Local: fmt.Sprintf("x%d", i), Domain: "example.com"})
						if !rookery.Is(err, rookery.KindNotFound) && !rookery.Is(err, rookery.KindUnavailable) {
							t.Errorf("%v", err)
						}
						time.Sleep(10 * time.Millisecond)
					}
				})
			}
			for i := range 50 { // whom somebody knew before is looked up again
				time.Sleep(1100 * time.Millisecond)
				a := rookery.Address{Local: fmt.Sprintf("user%d", i), Domain: "example.com"}
				if _, err := cache.Recipient(ForClient(t.Context(), netip.MustParsePrefix("10.0.0.0/32")), a); err != nil {
					t.Errorf("%v under load: %v", a, err)
				}
			}
			wg.Wait()
			unknown := 0
			for _, asked := range s.asked[known:] {
				if asked[:6] == "rcpt x" {
					unknown++
				}
			}
			if unknown > c.most || unknown < c.most/2 {
				t.Errorf("%d networks cost %d searches in a minute, the bound is %d", c.networks, unknown, c.most)
			}
		})
	}
}

// TestSearchesForClientsAreFew has no more than InFlight searches run at a
// time, and gives up with the client.
func TestSearchesForClientsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{domains: []string{"example.com"}, people: map[string]Entry{}, delay: time.Second}
		cache := NewCache(s, CacheOptions{Timeout: 3500 * time.Millisecond, Strangers: Budget{InFlight: 2, Burst: 100, ClientBurst: 100}})
		temporary := 0
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				_, err := cache.Recipient(ForClient(t.Context(), netip.MustParsePrefix("10.0.0.1/32")),
					rookery.Address{Local: fmt.Sprint(i), Domain: "example.com"})
				mu.Lock()
				defer mu.Unlock()
				if rookery.Is(err, rookery.KindUnavailable) {
					temporary++
				}
			})
		}
		wg.Wait()
		if n := s.count("rcpt"); n != 8 || temporary != 2 {
			t.Errorf("%d searches, %d refused for now", n, temporary)
		}
	})
}
