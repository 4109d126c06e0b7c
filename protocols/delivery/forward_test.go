package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/protocols/delivery"
)

func addressOf(t *testing.T, s string) rookery.Address {
	t.Helper()
	a, err := rookery.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// forwarders is a directory whose entries forward: "a" to "b, c", "!a" without a
// copy.
type forwarders struct {
	directory.Directory
	to map[string]string
}

func (forwarders) Local(domain string) bool { return domain == "example.com" }

func (f forwarders) Recipient(_ context.Context, a rookery.Address) (directory.Entry, error) {
	e := directory.Entry{Key: a.Local}
	to, ok := f.to[a.Local]
	if !ok {
		if to, ok = f.to["!"+a.Local]; !ok {
			return e, rookery.E("forwarders", rookery.KindNotFound, errors.New("nobody"))
		}
		e.ForwardOnly = true
	}
	for _, s := range strings.Fields(to) {
		x, err := rookery.ParseAddress(s)
		if err != nil {
			return e, err
		}
		e.Forward = append(e.Forward, x)
	}
	return e, nil
}

func (forwarders) Ensure(_ context.Context, owner rookery.Owner, _ int64) (id rookery.AccountID, err error) {
	copy(id[:], owner.Key)
	return id, nil
}

func forwardingRouter(to map[string]string) *delivery.Router {
	f := forwarders{to: to}
	keys := [][]byte{[]byte("a key of thirty-two bytes, or so")}
	return &delivery.Router{Directory: f, Accounts: f, SRSKeys: func() [][]byte { return keys }}
}

func TestForwardsAreFollowed(t *testing.T) {
	many := ""
	for i := range 60 {
		many += fmt.Sprintf(" x%d@far.example", i)
	}
	r := forwardingRouter(map[string]string{
		"plain": "", "copy": "x@far.example plain@example.com", "!only": "x@far.example", "!chain": "copy@example.com only@example.com",
		"!left": "right@example.com", "!right": "left@example.com", "!self": "self@example.com",
		"ying": "yang@example.com", "yang": "ying@example.com", "!lost": "nobody@example.com", "half": "nobody@example.com", "!many": many,
	})
	for to, want := range map[string]string{
		"plain": "plain@example.com", "copy": "copy@example.com plain@example.com x@far.example", "only": "x@far.example",
		"chain": "copy@example.com plain@example.com x@far.example", "ying": "yang@example.com ying@example.com", "half": "half@example.com",
		"left": "loop", "self": "loop", "lost": "loop", "many": "limit",
	} {
		route, err := r.Route(t.Context(), addressOf(t, to+"@example.com"))
		if err != nil {
			t.Fatal(err)
		}
		all, err := delivery.Expand(t.Context(), r, route)
		var got []string
		for _, x := range all {
			if got = append(got, x.Address.String()); x.Forward != nil || x.To == delivery.Forward {
				t.Errorf("%s: %+v is not the end", to, x)
			}
			if own := x.Address.Local == to; own == (x.By != rookery.Address{}) {
				t.Errorf("%s: %s comes by %v", to, x.Address, x.By)
			}
		}
		slices.Sort(got)
		said := strings.Join(got, " ")
		switch {
		case errors.Is(err, delivery.ErrForwardLoop):
			said = "loop"
		case rookery.Is(err, rookery.KindLimit):
			said = "limit"
		case err != nil:
			said = err.Error()
		}
		if said != want {
			t.Errorf("%s leads to %q, want %q", to, said, want)
		}
	}
}

func TestSendersOfForwardedMailFindTheirWayBack(t *testing.T) {
	r := forwardingRouter(map[string]string{"boss": "x@far.example"})
	by := addressOf(t, "boss@example.com")
	for from, want := range map[string]string{"": "", "anna@example.com": "anna@example.com", // our own SPF passes
		strings.Repeat("l", 60) + "@elsewhere.example": ""} {
		if got, err := r.Sender(from, by); err != nil || got != want {
			t.Errorf("%q becomes %q, %v, want %q", from, got, err, want)
		}
	}
	got, err := r.Sender("x@elsewhere.example", by)
	if err != nil || !strings.HasPrefix(got, "SRS0=") || !strings.HasSuffix(got, "=elsewhere.example=x@example.com") {
		t.Fatalf("%q %v", got, err)
	}
	back, err := r.Route(t.Context(), addressOf(t, strings.ToLower(got)))
	if err != nil || back.To != delivery.Bounce || back.Address.String() != "x@elsewhere.example" {
		t.Errorf("%+v %v", back, err)
	}
	late := forwardingRouter(nil)
	late.Clock = func() time.Time { return time.Now().AddDate(0, 0, 30) }
	if _, err := late.Route(t.Context(), addressOf(t, got)); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("a month later: %v", err)
	}
	forged := strings.Replace(got, "=elsewhere.example=", "=victim.example=", 1)
	if _, err := r.Route(t.Context(), addressOf(t, forged)); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("a forged one: %v", err)
	}
	other := forwardingRouter(nil)
	other.SRSKeys = func() [][]byte { return [][]byte{[]byte("another key of some thirty bytes")} }
	if _, err := other.Route(t.Context(), addressOf(t, got)); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("one of another cluster: %v", err)
	}
	other.SRSKeys = nil
	if _, err := other.Sender("x@elsewhere.example", by); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("without keys: %v", err)
	}
}
