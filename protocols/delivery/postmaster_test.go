package delivery_test

import (
	"errors"
	"net/netip"
	"testing"

	"rookery"
	"rookery/protocols/delivery"
)

// TestPostmasterIsAlwaysTaken: at each domain and at our own address, now or later,
// and never "no such user".
func TestPostmasterIsAlwaysTaken(t *testing.T) {
	var set rookery.Address
	r := forwardingRouter(map[string]string{"boss": ""})
	r.Postmaster = func() rookery.Address { return set }
	r.Own = func(a netip.Addr) bool { return a.String() == "192.0.2.1" || a.String() == "2001:db8::1" }
	all := []string{"postmaster@example.com", "Abuse@example.com", "abuse+x@example.com", "PostMaster@[192.0.2.1]",
		"postmaster@[IPv6:2001:db8::1]", "abuse@[IPv6:::ffff:192.0.2.1]"}
	for _, p := range []string{"", "gone@example.com", "boss@example.com"} {
		if set = (rookery.Address{}); p != "" {
			set = addressOf(t, p)
		}
		for _, to := range all {
			route, err := r.Route(t.Context(), addressOf(t, to))
			if p != "boss@example.com" {
				if !errors.Is(err, delivery.ErrNoPostmaster) || !rookery.Is(err, rookery.KindUnavailable) {
					t.Errorf("%s with postmaster %q: %v", to, p, err)
				}
			} else if err != nil || route.To != delivery.Local || route.Account == (rookery.AccountID{}) {
				t.Errorf("%s: %+v %v", to, route, err)
			}
		}
	}
	if _, err := r.Route(t.Context(), addressOf(t, "anna@[192.0.2.1]")); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("another at our address: %v", err)
	}
	if route, err := r.Route(t.Context(), addressOf(t, "postmaster@[192.0.2.2]")); err != nil || route.To != delivery.Remote {
		t.Errorf("at another's address: %+v %v", route, err)
	}
}

// What is for nobody goes to who catches it, in the domains that have one; where that
// one is not there it comes again.
func TestCatchAll(t *testing.T) {
	r := forwardingRouter(map[string]string{"boss": "", "anna": ""})
	catcher := "boss@example.com"
	r.CatchAll = func(domain string) rookery.Address {
		if domain != "example.com" {
			return rookery.Address{}
		}
		return addressOf(t, catcher)
	}
	boss, err := r.Route(t.Context(), addressOf(t, "boss@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	anna, err := r.Route(t.Context(), addressOf(t, "anna@example.com"))
	if err != nil || anna.Account == boss.Account {
		t.Fatalf("%+v %v", anna, err)
	}
	to := addressOf(t, "nobody@example.com")
	route, err := r.Route(t.Context(), to)
	if err != nil || route.To != delivery.Local || route.Account != boss.Account || route.Address != to {
		t.Errorf("%+v %v", route, err)
	}
	catcher = "gone@example.com"
	if _, err := r.Route(t.Context(), to); err == nil || rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("without the one who catches it: %v", err)
	}
	r.CatchAll = func(string) rookery.Address { return rookery.Address{} }
	if _, err := r.Route(t.Context(), to); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("without a catch-all: %v", err)
	}
}
