package objects

import (
	"sync"
	"testing"

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
