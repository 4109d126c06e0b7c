package delivery_test

import (
	"context"
	"errors"
	"testing"

	"rookery"
	"rookery/directory"
	"rookery/protocols/delivery"
)

// towns is a directory of one domain whose local parts say what they are.
type towns struct{ directory.Directory }

func (towns) Local(domain string) bool { return domain == "example.com" }

func (towns) Recipient(_ context.Context, a rookery.Address) (directory.Entry, error) {
	switch a.Local {
	case "here", "boss":
		return directory.Entry{Key: a.Local}, nil
	case "there":
		return directory.Entry{Host: "old.example.com"}, nil
	case "onward":
		return directory.Entry{ForwardOnly: true}, nil
	case "away":
		return directory.Entry{}, rookery.E("towns", rookery.KindUnavailable, nil)
	case "stuck":
		return directory.Entry{Key: "stuck"}, nil
	}
	return directory.Entry{}, rookery.E("towns", rookery.KindNotFound, nil)
}

// Ensure makes the account's id of the key.
func (towns) Ensure(_ context.Context, owner rookery.Owner, quota int64) (id rookery.AccountID, err error) {
	if owner.Key == "stuck" || quota != 7 {
		return id, rookery.E("towns", rookery.KindUnavailable, errors.New("no quorum"))
	}
	copy(id[:], owner.Key)
	return id, nil
}

func TestRoute(t *testing.T) {
	r := &delivery.Router{Directory: towns{}, Accounts: towns{},
		Postmaster:   func() rookery.Address { return rookery.Address{Local: "boss", Domain: "example.com"} },
		DefaultQuota: func() int64 { return 7 }}
	var here, boss rookery.AccountID
	copy(here[:], "here")
	copy(boss[:], "boss")
	for _, c := range []struct {
		address string
		want    delivery.Route
		kind    rookery.Kind // of the error, 0 for none
		away    bool
	}{
		{"here@example.com", delivery.Route{To: delivery.Local, Account: here}, 0, false},
		{"PostMaster@example.com", delivery.Route{To: delivery.Local, Account: boss}, 0, false},
		{"x@elsewhere.example", delivery.Route{To: delivery.Remote}, 0, false},
		{"there@example.com", delivery.Route{To: delivery.Relay, Host: "old.example.com"}, 0, false},
		{"onward@example.com", delivery.Route{To: delivery.Forward}, 0, false},
		{"nobody@example.com", delivery.Route{}, rookery.KindNotFound, false},
		{"away@example.com", delivery.Route{}, rookery.KindUnavailable, true},
		{"stuck@example.com", delivery.Route{}, rookery.KindUnavailable, false},
	} {
		a, err := rookery.ParseAddress(c.address)
		if err != nil {
			t.Fatal(err)
		}
		c.want.Address = a
		got, err := r.Route(t.Context(), a)
		if (err != nil) != (c.kind != 0) || err != nil && !rookery.Is(err, c.kind) || errors.Is(err, delivery.ErrDirectory) != c.away {
			t.Errorf("%s: %v", c.address, err)
		}
		if err == nil && got != c.want {
			t.Errorf("%s: %+v, want %+v", c.address, got, c.want)
		}
	}
}
