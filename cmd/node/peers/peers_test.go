package peers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cluster/transport/identity"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/settings"
)

// loopback is the operating system's network.
type loopback struct{}

func (loopback) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, network, address)
}

func (loopback) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, address)
}

// throwaway is a certificate that a node file has to name.
func throwaway(t *testing.T) settings.TLSFiles {
	t.Helper()
	dir := t.TempDir()
	f := settings.TLSFiles{Certificate: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		f.Certificate: {Type: "CERTIFICATE", Bytes: der}, f.Key: {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// member opens what a node's data directory is made for by make.
func member(t *testing.T, admit transport.JoinHandler, make func(settings.Node) error) *Peers {
	t.Helper()
	cfg := settings.DefaultNode()
	cfg.Hostname, cfg.DataDir, cfg.TLS = "localhost", filepath.Join(t.TempDir(), "data"), throwaway(t)
	cfg.Cluster = settings.Peering{Listen: "127.0.0.1:0", Advertise: "127.0.0.1:1"}
	if err := make(cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Cluster.Advertise = ""
	cfg.Hostname = "127.0.0.1"
	id, err := datadir.Dir(cfg.DataDir).Start(vfs.Default)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(Options{Config: cfg, ID: id, Network: loopback{}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Clock: time.Now, Admit: admit})
	if err == nil {
		err = p.Listen(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(context.Background()) })
	return p
}

// three are members of one cluster, of whom the first knows all and the others
// know the first.
func three(t *testing.T) (first, second, third *Peers) {
	t.Helper()
	known := map[rookery.NodeID]Member{}
	admit := func(_ context.Context, q transport.JoinRequest) (a transport.JoinAnswer, err error) {
		key, err := identity.KeyHash(q.Request)
		if err != nil {
			return a, err
		}
		known[q.Node] = Member{Key: key}
		ring, err := first.dir.TenantKeys(nil).Load(context.Background())
		if err != nil {
			return a, err
		}
		return first.dir.Admit(q, ring, first.Seeds()[:1], time.Now())
	}
	first = member(t, admit, func(cfg settings.Node) error { return datadir.Create(t.Context(), cfg, vfs.Default, time.Now()) })
	join := func(cfg settings.Node) error {
		ident := first.Certificate()
		token := identity.MintToken(ident.Cluster, ident.Issuer())
		return datadir.Join(t.Context(), cfg, datadir.Joining{Token: token.Text(), Addresses: []string{first.Address()}})
	}
	second, third = member(t, nil, join), member(t, nil, join)
	for _, p := range []*Peers{second, third} {
		known[p.self] = Member{Address: p.Address(), Key: known[p.self].Key}
	}
	first.Learn(known)
	return first, second, third
}

// A node that does not know of another's admission yet asks the members that it
// knows, and so does not wait for a leader that it refuses.
func TestUnknownMemberIsMet(t *testing.T) {
	first, second, third := three(t)
	ask := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := Members.Ask(ctx, third, second.self, Nothing{})
		return err
	}
	third.Learn(map[rookery.NodeID]Member{second.self: {Address: second.Address(), Key: second.Certificate().KeyHash()}})
	if err := ask(); err == nil {
		t.Fatal("a node that is not known was let in")
	}
	if second.Is(third.self) {
		t.Fatal("it is known without being asked for")
	}
	ctx, stop := context.WithCancel(t.Context())
	met := make(chan error, 1)
	go func() { met <- second.Meet(ctx) }()
	defer func() { stop(); <-met }()
	deadline := time.Now().Add(20 * time.Second)
	for err := ask(); err != nil; err = ask() {
		if time.Now().After(deadline) {
			t.Fatalf("it is not let in: %v", err)
		}
	}
	if !second.Is(third.self) || !second.Is(first.self) {
		t.Error("the second does not know the others")
	}
}

// Who was removed is cut off, and neither asked nor told of any more.
func TestRemovedMemberIsCutOff(t *testing.T) {
	first, second, _ := three(t)
	if _, err := Members.Ask(t.Context(), second, first.self, Nothing{}); err != nil {
		t.Fatal(err)
	}
	key := second.Certificate().KeyHash()
	first.Learn(map[rookery.NodeID]Member{second.self: {Address: second.Address(), Key: key, Removed: true}})
	if _, err := Members.Ask(t.Context(), second, first.self, Nothing{}); err == nil {
		t.Error("a removed node is answered")
	}
	if slices.Contains(first.Others(), second.self) || first.Is(second.self) {
		t.Error("a removed node is among the others")
	}
	if seeds, err := first.dir.Seeds(); err != nil || len(seeds) != 1 {
		t.Errorf("kept for the next start: %v, %v", seeds, err)
	}
}

// An older copy of a directory is told so, whichever process asks first.
func TestOlderCopyIsFoundOut(t *testing.T) {
	first, _, _ := three(t)
	g, err := first.GuardRollback(t.Context(), func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	at := func(epoch, age uint64) datadir.Moment { return datadir.Moment{Epoch: epoch, Age: age} }
	for _, c := range []struct {
		what  string
		sign  Sign
		older bool
	}{
		{"the first that is heard", Sign{"a", at(1, 0), at(2, 0)}, false},
		{"the same process later", Sign{"a", at(1, 0), at(2, 3)}, false},
		{"a copy from before", Sign{"b", at(2, 1), at(3, 0)}, true},
		{"the next start", Sign{"c", at(2, 3), at(3, 0)}, false},
		{"the process before it", Sign{"a", at(1, 0), at(2, 4)}, true},
	} {
		v, err := g.judge(t.Context(), "x", c.sign)
		if err != nil || v.Older != c.older {
			t.Errorf("%s: %+v, %v", c.what, v, err)
		}
	}
}
