package node

import (
	"testing"
	"time"

	"rookery/cmd/node/settings"
	"rookery/test/dnsserver"
)

// A node that is told of other DNS servers forgets what the former ones said.
func TestResolverIsReplaced(t *testing.T) {
	old, young := dnsserver.Start(t), dnsserver.Start(t)
	old.Add(t, "mx.example. 300 IN A 192.0.2.1")
	young.Add(t, "mx.example. 300 IN A 192.0.2.2")
	r := newResolver(settings.Outbound{Resolvers: []string{old.Addr().String()}}, time.Now)
	defer r.Close()
	is := func(want string) {
		t.Helper()
		if a, err := r.A(t.Context(), "mx.example"); err != nil || a.Records[0].String() != want {
			t.Errorf("%+v, %v, want %s", a, err, want)
		}
	}
	is("192.0.2.1")
	r.use(settings.Outbound{Resolvers: []string{old.Addr().String()}, Connections: 3})
	is("192.0.2.1")
	if n := old.Asked("mx.example.", "A"); n != 1 {
		t.Errorf("asked %d times, though the servers are the same", n)
	}
	r.use(settings.Outbound{Resolvers: []string{young.Addr().String()}})
	is("192.0.2.2")
}
