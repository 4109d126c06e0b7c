package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cluster/transport/identity"
)

// outsider is a node with any identity that knows c's addresses.
func (c *cluster) outsider(id *identity.Identity, clock func() time.Time) *transport.Transport {
	tr, err := transport.New(transport.Options{
		Credentials: identity.NewCredentials(id), Member: c.member, Addresses: c.addresses, Clock: clock, Logger: slog.New(slog.DiscardHandler),
	})
	must(c.t, err)
	c.t.Cleanup(func() { tr.Close(context.Background()) })
	return tr
}

func TestWhoIsRefused(t *testing.T) {
	c := newCluster(t)
	b := c.node("b", nil)
	b.Handle("echo", echo)
	foreign, err := identity.CreateAuthority(time.Now())
	must(t, err)
	now := time.Now()
	good := issued(t, c.authority, "good", now)
	sameCluster, err := c.authority.Successor(now)
	must(t, err)
	untrusted := issued(t, sameCluster, "good", now)
	untrusted, err = untrusted.Trusting(append(sameCluster.CertificatePEM(), c.authority.CertificatePEM()...))
	must(t, err)
	long := now.Add(-identity.NodeLifetime - time.Hour)
	back := func() time.Time { return long.Add(time.Hour) }
	for name, x := range map[string]struct {
		id    *identity.Identity
		clock func() time.Time
	}{
		"another cluster":     {issued(t, foreign, "good", now), nil},
		"unknown authority":   {untrusted, nil},
		"expired":             {issued(t, c.authority, "good", long), nil},
		"expired, clock back": {issued(t, c.authority, "good", long), back},
		"not yet valid":       {issued(t, c.authority, "good", now.Add(24*time.Hour)), nil},
		"not a member":        {issued(t, c.authority, "stranger", now), nil},
	} {
		if x.id.Node == "good" {
			c.register(x.id, "") // so that its key is no reason
		}
		_, err := c.outsider(x.id, x.clock).Call(within(t), "b", "echo", nil)
		if err == nil {
			t.Errorf("%s: was let in", name)
		} else if !rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("%s: %v is of kind %v", name, err, rookery.KindOf(err))
		}
	}
	c.register(good, "")
	_, err = c.outsider(good, nil).Call(within(t), "b", "echo", nil)
	must(t, err)
}

// Whoever has the authority's key certifies any name. A member's name with
// another key than the registered one is refused, by who is called and by who
// calls.
func TestMintedCertificateIsRefused(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	b.Handle("echo", echo)
	_, err := a.Call(within(t), "b", "echo", nil)
	must(t, err)
	thief := c.outsider(issued(t, c.authority, "a", time.Now()), nil)
	_, err = thief.Call(within(t), "b", "echo", nil)
	wantKind(t, "call under a minted certificate", err, rookery.KindUnavailable)

	impostor := c.outsider(issued(t, c.authority, "b", time.Now()), nil)
	impostor.Handle("echo", echo)
	l := listen(t)
	must(t, impostor.Start(l))
	c.mu.Lock()
	c.address["b"] = l.Addr().String()
	c.mu.Unlock()
	a.CutOff("b")
	for range 10 {
		_, err = a.Call(within(t), "b", "echo", nil)
		if !rookery.Is(err, rookery.KindUnknown) {
			break // else it has met the connection that was just cut
		}
	}
	wantKind(t, "call of a node that minted its certificate", err, rookery.KindUnavailable)
	if !strings.Contains(err.Error(), "not the one that node b registered with") {
		t.Errorf("the reason is not told: %v", err)
	}
}

// A renewed certificate keeps the node's key, which is what the others know.
func TestRenewedCertificateIsTheSameNode(t *testing.T) {
	c := newCluster(t)
	var creds *identity.Credentials
	a := c.node("a", func(o *transport.Options) { creds = o.Credentials })
	b := c.node("b", nil)
	b.Handle("echo", echo)
	request, err := creds.Current().Request()
	must(t, err)
	cert, err := c.authority.Issue(request, "a", time.Now().Add(time.Minute))
	must(t, err)
	next, err := creds.Current().Renewed(cert)
	must(t, err)
	must(t, creds.Replace(next))
	b.CutOff("a")
	_, err = a.Call(within(t), "b", "echo", nil)
	must(t, err)
}

// The one who dials checks too: an address may have passed to another node.
func TestWrongNodeAnswers(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	b.Handle("echo", echo)
	address, _ := c.addresses("b")
	c.register(issued(t, c.authority, "c", time.Now()), address)
	_, err := a.Call(within(t), "c", "echo", nil)
	wantKind(t, "call that reaches another node", err, rookery.KindUnavailable)
}

func TestPlainClients(t *testing.T) {
	c := newCluster(t)
	b := c.node("b", func(o *transport.Options) { o.HandshakeTimeout = 200 * time.Millisecond })
	b.Handle("echo", echo)
	address, _ := c.addresses("b")
	for name, protos := range map[string][]string{
		"no certificate": {"rookery-rpc/1"}, "no protocol": nil, "foreign protocol": {"h2"},
		"two protocols": {"rookery-join/1", "rookery-rpc/1"}, "join where nobody can": {"rookery-join/1"},
		"raft without certificate": {"rookery-raft/1"}, "gossip without certificate": {"rookery-gossip/1"},
		"stream without certificate": {"rookery-stream/1"},
	} {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, NextProtos: protos})
		if err == nil { // in TLS 1.3 the refusal comes after the client's handshake
			conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: not refused: %v", name, err)
		}
	}
	if _, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12,
		NextProtos: []string{"rookery-rpc/1"}}); err == nil {
		t.Error("TLS 1.2 was accepted")
	}
	silent, err := net.Dial("tcp", address)
	must(t, err)
	silent.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := silent.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a silent client is kept: %v", err)
	}
	silent.Close()
}

func TestRemovedNodeIsCutOff(t *testing.T) {
	c := newCluster(t)
	a, b := c.node("a", nil), c.node("b", nil)
	b.Handle("echo", echo)
	ended := make(chan struct{})
	b.HandleConn("hold", func(_ context.Context, _ rookery.NodeID, _ []byte, conn net.Conn) {
		io.Copy(io.Discard, conn)
		close(ended)
	})
	_, err := a.Call(within(t), "b", "echo", nil)
	must(t, err)
	conn, err := a.DialConn(within(t), "b", "hold", nil)
	must(t, err)
	defer conn.Close()
	b.Recheck() // nothing has changed
	_, err = a.Call(within(t), "b", "echo", nil)
	must(t, err)
	c.remove("a")
	b.Recheck()
	<-ended
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Fatal("the tunnel of a removed node still stands")
	}
	_, err = a.Call(within(t), "b", "echo", nil)
	if err == nil {
		t.Fatal("a removed node can call")
	}
}

// TestRotation changes the authority and every certificate under load, in
// the order in which it is to be done.
func TestRotation(t *testing.T) {
	c := newCluster(t)
	creds := map[rookery.NodeID]*identity.Credentials{}
	keep := func(n rookery.NodeID) func(*transport.Options) {
		return func(o *transport.Options) { creds[n] = o.Credentials }
	}
	a, b := c.node("a", keep("a")), c.node("b", keep("b"))
	b.Handle("echo", echo)
	stop := make(chan struct{})
	var load sync.WaitGroup
	var broken, rechecks int
	var last error
	load.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			conn, err := a.OpenStream(within(t), "b", "none", nil) // a handshake each
			if err == nil {
				conn.Close()
			} else if !errors.Is(err, transport.ErrNoHandler) {
				broken++
				last = err
			}
		}
	})
	next, err := c.authority.Successor(time.Now())
	must(t, err)
	both := append(c.authority.CertificatePEM(), next.CertificatePEM()...)
	each := func(f func(id *identity.Identity) (*identity.Identity, error)) {
		for _, cr := range creds {
			id, err := f(cr.Current())
			must(t, err)
			must(t, cr.Replace(id))
		}
		a.Recheck()
		b.Recheck()
		rechecks += 2
		_, err := a.Call(within(t), "b", "echo", nil)
		must(t, err)
	}
	each(func(id *identity.Identity) (*identity.Identity, error) { return id.Trusting(both) })
	each(func(id *identity.Identity) (*identity.Identity, error) {
		request, err := id.Request()
		must(t, err)
		cert, err := next.Issue(request, id.Node, time.Now())
		must(t, err)
		return id.Renewed(cert)
	})
	each(func(id *identity.Identity) (*identity.Identity, error) { return id.Trusting(next.CertificatePEM()) })
	close(stop)
	load.Wait()
	// What is being opened when Recheck comes may be cut off, once each time.
	if broken > rechecks {
		t.Errorf("during rotation %d openings broke, the last with %v", broken, last)
	}
	wantKind(t, "another node's identity", creds["a"].Replace(creds["b"].Current()), rookery.KindConflict)
}

func TestIdentityFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	_, err := identity.LoadIdentity(dir)
	wantKind(t, "no files", err, rookery.KindNotFound)
	a, err := identity.CreateAuthority(time.Now())
	must(t, err)
	old := issued(t, a, "n1", time.Now())
	must(t, old.Save(dir))
	info, err := os.Stat(filepath.Join(dir, identity.KeyFile))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Fatalf("the key has mode %v", info.Mode())
	}
	creds := identity.NewCredentials(old)
	changed, err := creds.Reload(dir)
	if err != nil || changed {
		t.Fatalf("reload without change: %v, %v", changed, err)
	}
	request, err := old.Request()
	must(t, err)
	cert, err := a.Issue(request, "n1", time.Now().Add(time.Hour))
	must(t, err)
	renewed, err := old.Renewed(cert)
	must(t, err)
	must(t, renewed.Save(dir))
	changed, err = creds.Reload(dir)
	if err != nil || !changed || !creds.Current().Expires().Equal(renewed.Expires()) {
		t.Fatalf("reload after renewal: %v, %v", changed, err)
	}
}

func TestRenewal(t *testing.T) {
	a, err := identity.CreateAuthority(time.Now())
	must(t, err)
	now := time.Now()
	id := issued(t, a, "n1", now)
	for days, want := range map[int]bool{0: false, 59: false, 61: true, 91: true} {
		if got := now.Add(time.Duration(days) * 24 * time.Hour).After(id.Renewal()); got != want {
			t.Errorf("after %d days: due %v", days, got)
		}
	}
}

func TestAuthorityKeepsItself(t *testing.T) {
	a, err := identity.CreateAuthority(time.Now())
	must(t, err)
	key, err := a.KeyPEM()
	must(t, err)
	b, err := identity.ParseAuthority(a.CertificatePEM(), key)
	must(t, err)
	if a.Cluster() != b.Cluster() || a.Fingerprint() != b.Fingerprint() {
		t.Fatal("the authority changed on its way")
	}
	other, err := identity.CreateAuthority(time.Now())
	must(t, err)
	_, err = identity.ParseAuthority(other.CertificatePEM(), key)
	wantKind(t, "another's key", err, rookery.KindInvalid)
	request, _, err := identity.NewRequest("n1")
	must(t, err)
	for _, node := range []rookery.NodeID{"", "a/b", "../x", "a b", ".x", rookery.NodeID(make([]byte, 65))} {
		_, err := a.Issue(request, node, time.Now())
		wantKind(t, "issue for "+string(node), err, rookery.KindInvalid)
	}
}
