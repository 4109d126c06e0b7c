package interop

import (
	"testing"

	"rookery/test/harness"
)

// TestRoadEmbedded sends mail through `rookery dev` and reads it back byte for
// byte with every client, before and after a restart.
func TestRoadEmbedded(t *testing.T) {
	d := harness.StartDev(t, t.TempDir())
	s := server{node: d.Node(), ca: d.Facts.CA, tls: d.TLS(t), user: d.Facts.Users[0], reopen: func() error {
		if err := d.Stop(); err != nil {
			return err
		}
		return d.Start()
	}}
	road(t, s)
}

// TestRoadReal is the same road with slapd as directory and an S3 server as
// object store, under `rookery serve`.
func TestRoadReal(t *testing.T) {
	srv := harness.StartServe(t)
	s := server{node: srv.Node, ca: srv.CA, tls: harness.TrustFile(t, srv.CA),
		user: harness.User{Login: "u0000@example.test", Password: "secret"}, reopen: srv.Restart}
	road(t, s)
}

func road(t *testing.T, s server) {
	for _, set := range []struct {
		name string
		get  func(*testing.T) [][]byte
	}{
		{"generated", func(*testing.T) [][]byte { return generated() }},
		{"corpus", corpus},
	} {
		t.Run(set.name, func(t *testing.T) {
			messages := set.get(t)
			emptyInbox(t, s)
			sendAll(t, s, messages)
			fetchAll(t, s, messages)
			popAll(t, s, messages)
			mbsyncAll(t, s, messages)
			if err := s.reopen(); err != nil {
				t.Fatal(err)
			}
			fetchAll(t, s, messages)
		})
	}
}
