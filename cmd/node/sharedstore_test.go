package node

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/settings"
)

func TestPlaceIsOfTheDirectory(t *testing.T) {
	shared, set := t.TempDir(), settings.Store{Kind: "dir"}
	set.Path = shared
	places := make([]string, 8)
	var all sync.WaitGroup
	for k := range places {
		all.Go(func() {
			var err error
			if places[k], err = placeOf(&set, "/nosuch"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, p := range places {
		if p == "" || p != places[0] {
			t.Fatalf("places %q of one directory", places)
		}
	}
	set.Path = t.TempDir()
	if p, err := placeOf(&set, "/nosuch"); err != nil || p == places[0] {
		t.Errorf("another directory is %q, %v", p, err)
	}
	if p, err := placeOf(&settings.Store{Kind: "s3", Endpoint: "https://s3.example.com"}, "/nosuch"); p != "" || err != nil {
		t.Errorf("a service is %q, %v", p, err)
	}
}

func TestScatteredStoresAreNamed(t *testing.T) {
	names := map[rookery.NodeID]string{"a": "mail1", "b": "mail2", "c": "mail3", "d": "mail4"}
	for what, test := range map[string]struct {
		places map[rookery.NodeID]string
		want   string
	}{
		"one place":        {map[rookery.NodeID]string{"a": "x", "b": "x", "c": "x"}, ""},
		"not tried yet":    {map[rookery.NodeID]string{"a": "x", "b": "", "c": "x"}, ""},
		"one has its own":  {map[rookery.NodeID]string{"a": "x", "b": "y", "c": "x"}, "(mail1, mail3 | mail2)"},
		"each has its own": {map[rookery.NodeID]string{"a": "x", "b": "y", "c": "z", "d": ""}, "(mail1 | mail2 | mail3)"},
	} {
		reports := map[rookery.NodeID]peers.Report{}
		for id, p := range test.places {
			reports[id] = peers.Report{Place: p}
		}
		said := ""
		scattered(reports, names, func(format string, args ...any) { said += fmt.Sprintf(format, args...) })
		if (said == "") != (test.want == "") || !strings.Contains(said, test.want) {
			t.Errorf("%s: %q", what, said)
		}
	}
}
