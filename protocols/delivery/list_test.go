package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"rookery"
	"rookery/directory"
	"rookery/protocols/delivery"
)

// clubs are lists beside the people of towns.
type clubs map[string]directory.Record

func (c clubs) List(_ context.Context, a rookery.Address) (r directory.Record, who directory.Expansion, err error) {
	r, ok := c[a.Local]
	switch {
	case a.Local == "broken":
		return r, who, rookery.E("clubs", rookery.KindUnavailable, nil)
	case !ok:
		return r, who, rookery.E("clubs", rookery.KindNotFound, nil)
	}
	for _, m := range r.List.Members {
		address := rookery.Address{Local: m, Domain: "example.com"}
		who.Accounts = append(who.Accounts, directory.Entry{Key: m, DN: "uid=" + m, Primary: address, Addresses: []rookery.Address{address}})
	}
	for _, x := range r.List.External {
		a, _ := rookery.ParseAddress(x)
		who.External = append(who.External, a)
	}
	return r, who, nil
}

func club(name string, l directory.List) directory.Record {
	return directory.Record{Entry: directory.Entry{Key: name}, List: &l}
}

func TestRouteToAList(t *testing.T) {
	var many []string
	for i := range delivery.MaxListed + 1 {
		many = append(many, fmt.Sprint("m", i))
	}
	r := &delivery.Router{Directory: towns{}, Accounts: towns{}, DefaultQuota: func() int64 { return 7 }, Lists: clubs{
		"all":   club("all", directory.List{Members: []string{"here", "boss"}, External: []string{"x@elsewhere.example"}}),
		"a b":   club("a b", directory.List{Members: []string{"here"}}),
		"crowd": club("crowd", directory.List{Members: many}),
		"none":  club("none", directory.List{}),
	}}
	route := func(text string) (delivery.Route, error) {
		a, err := rookery.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		return r.Route(t.Context(), a)
	}
	x, err := route("All+news@example.com")
	if err == nil || x.List != nil {
		t.Errorf("names compare as the lists do: %+v %v", x, err) // clubs knows "all" alone
	}
	x, err = route("all+news@example.com")
	if err != nil || x.List == nil || x.List.ID != "all.example.com" || x.To != delivery.Forward {
		t.Fatalf("%+v %v", x, err)
	}
	all, err := delivery.Expand(t.Context(), r, x)
	if err != nil || len(all) != 3 || all[2].To != delivery.Remote || all[0].By.String() != "all@example.com" {
		t.Errorf("behind the list are %+v, %v", all, err)
	}
	if x, err := route(`"a b"@example.com`); err != nil || x.List.ID != "612062.example.com" {
		t.Errorf("%+v %v", x, err)
	}
	if _, err := route("crowd@example.com"); !rookery.Is(err, rookery.KindLimit) || !errors.Is(err, delivery.ErrListTooLarge) {
		t.Errorf("too many members: %v", err)
	}
	if _, err := route("broken@example.com"); !errors.Is(err, delivery.ErrDirectory) {
		t.Errorf("lists that are not known: %v", err)
	}
	x, err = route("none@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := delivery.Expand(t.Context(), r, x); !errors.Is(err, delivery.ErrForwardLoop) {
		t.Errorf("a list of nobody: %v", err)
	}
	if x, err := route("here@example.com"); err != nil || x.List != nil || x.To != delivery.Local {
		t.Errorf("a person: %+v %v", x, err)
	}
}
