package transport_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery"
	"rookery/cluster/transport"
	"rookery/cluster/transport/identity"
)

// desk admits nodes as a system group would.
type desk struct {
	c           *cluster
	mu          sync.Mutex
	invitations map[string]*identity.Invitation
	away        bool
	asked       int
}

func (d *desk) invite(life time.Duration) identity.Token {
	t := identity.MintToken(d.c.authority.Cluster(), d.c.authority.Fingerprint())
	d.mu.Lock()
	defer d.mu.Unlock()
	d.invitations[t.ID] = &identity.Invitation{ID: t.ID, Hash: t.Hash(), Expires: time.Now().Add(life)}
	return t
}

func (d *desk) join(_ context.Context, q transport.JoinRequest) (a transport.JoinAnswer, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	if d.away {
		return a, rookery.E("join", rookery.KindUnavailable, errors.New("no leader"))
	}
	key, err := identity.KeyHash(q.Request)
	if err != nil {
		return a, err
	}
	i := d.invitations[q.Token.ID]
	if i == nil {
		return a, rookery.E("join", rookery.KindNotFound, errors.New("the secret reason"))
	}
	if err := i.Admits(q.Token, q.Node, key, time.Now()); err != nil {
		return a, err
	}
	i.UsedBy, i.UsedKey = q.Node, key
	cert, err := d.c.authority.Issue(q.Request, q.Node, time.Now())
	return transport.JoinAnswer{Certificate: cert, Authorities: d.c.authority.CertificatePEM(),
		Payload: append([]byte("welcome "), q.Info...)}, err
}

// invited is what a node knows of a token by itself.
func (d *desk) invited(t identity.Token) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.invitations[t.ID]
	return i != nil && i.Invites(t, time.Now())
}

func newDesk(c *cluster) *desk {
	return &desk{c: c, invitations: map[string]*identity.Invitation{}}
}

func TestJoin(t *testing.T) {
	c := newCluster(t)
	d := newDesk(c)
	b := c.node("b", func(o *transport.Options) { o.Join = d.join })
	b.Handle("echo", echo)
	address, _ := c.addresses("b")
	token, err := identity.ParseToken(d.invite(time.Hour).Text())
	must(t, err)
	join := func(token identity.Token, node rookery.NodeID) (*identity.Identity, []byte, error) {
		// 127.0.0.1:1 is a node that is away.
		return transport.Join(within(t), transport.Joining{Token: token, Addresses: []string{"127.0.0.1:1", address}, Node: node,
			Info: []byte("zone 1")})
	}
	id, payload, err := join(token, "new")
	must(t, err)
	if id.Node != "new" || id.Cluster != c.authority.Cluster() || string(payload) != "welcome zone 1" {
		t.Fatalf("joined as %s of %s with %q", id.Node, id.Cluster, payload)
	}
	_, err = c.outsider(id, nil).Call(within(t), "b", "echo", nil)
	wantKind(t, "call before registration", err, rookery.KindUnavailable)
	c.register(id, "")
	_, err = c.outsider(id, nil).Call(within(t), "b", "echo", nil)
	must(t, err)

	_, _, err = join(token, "thief")
	wantKind(t, "used token", err, rookery.KindCredentials)
	_, _, err = join(token, "new")
	wantKind(t, "used token, same name, another key", err, rookery.KindCredentials)
	_, _, err = join(d.invite(-time.Second), "late")
	wantKind(t, "expired token", err, rookery.KindCredentials)
	unknown := identity.MintToken(c.authority.Cluster(), c.authority.Fingerprint())
	_, _, err = join(unknown, "liar")
	wantKind(t, "unknown token", err, rookery.KindCredentials)
	if strings.Contains(err.Error(), "secret reason") {
		t.Fatalf("the joiner is told too much: %v", err)
	}
}

// Failures are counted: after a few, an address is not even asked.
func TestJoinIsLimited(t *testing.T) {
	c := newCluster(t)
	d := newDesk(c)
	c.node("b", func(o *transport.Options) { o.Join = d.join })
	address, _ := c.addresses("b")
	var err error
	for range 8 {
		wrong := identity.MintToken(c.authority.Cluster(), c.authority.Fingerprint())
		_, _, err = transport.Join(within(t), transport.Joining{Token: wrong, Addresses: []string{address}, Node: "x"})
	}
	wantKind(t, "the eighth wrong token", err, rookery.KindLimit)
	if d.asked > 5 {
		t.Fatalf("the cluster was asked %d times", d.asked)
	}
}

// TestBadJoinsKeepNobodyOut: after more bad joins than a minute may have, from
// the same address too, a node with a good token joins.
func TestBadJoinsKeepNobodyOut(t *testing.T) {
	c := newCluster(t)
	d := newDesk(c)
	c.node("b", func(o *transport.Options) { o.Join, o.Invited = d.join, d.invited })
	address, _ := c.addresses("b")
	good := d.invite(time.Hour)
	var err error
	for range 70 {
		wrong := identity.MintToken(c.authority.Cluster(), c.authority.Fingerprint())
		_, _, err = transport.Join(within(t), transport.Joining{Token: wrong, Addresses: []string{address}, Node: "x"})
	}
	wantKind(t, "the last wrong token", err, rookery.KindLimit)
	if d.asked > 5 {
		t.Errorf("the cluster was asked %d times for wrong tokens", d.asked)
	}
	_, _, err = transport.Join(within(t), transport.Joining{Token: good, Addresses: []string{address}, Node: "new"})
	must(t, err)
	forged := identity.MintToken(c.authority.Cluster(), c.authority.Fingerprint())
	forged.ID = good.ID
	_, _, err = transport.Join(within(t), transport.Joining{Token: forged, Addresses: []string{address}, Node: "thief"})
	wantKind(t, "a token with a good id and another secret", err, rookery.KindLimit)
}

// A joiner gives its token to nobody but the cluster that it is of.
func TestJoinChecksTheCluster(t *testing.T) {
	c, other := newCluster(t), newCluster(t)
	d := newDesk(c)
	c.node("b", func(o *transport.Options) { o.Join = d.join })
	address, _ := c.addresses("b")
	foreign := identity.MintToken(other.authority.Cluster(), other.authority.Fingerprint())
	_, _, err := transport.Join(within(t), transport.Joining{Token: foreign, Addresses: []string{address}, Node: "x"})
	wantKind(t, "another cluster", err, rookery.KindInvalid)
	mixed := identity.MintToken(c.authority.Cluster(), other.authority.Fingerprint())
	_, _, err = transport.Join(within(t), transport.Joining{Token: mixed, Addresses: []string{address}, Node: "x"})
	wantKind(t, "another authority", err, rookery.KindInvalid)
	_, _, err = transport.Join(within(t), transport.Joining{Token: foreign, Addresses: []string{address, "127.0.0.1:1"}, Node: "x"})
	wantKind(t, "another cluster, and a node that is away", err, rookery.KindUnavailable)
	if d.asked != 0 {
		t.Fatal("the token was sent to a foreign cluster")
	}
	d.away = true
	_, _, err = transport.Join(within(t), transport.Joining{Token: d.invite(time.Hour), Addresses: []string{address}, Node: "x"})
	wantKind(t, "no leader", err, rookery.KindUnavailable)
}

func TestAdmits(t *testing.T) {
	now := time.Now()
	token := identity.MintToken("00112233445566778899aabbccddeeff", [32]byte{1})
	i := identity.Invitation{ID: token.ID, Hash: token.Hash(), Expires: now.Add(time.Minute)}
	must(t, i.Admits(token, "a", [32]byte{7}, now))
	i.UsedBy, i.UsedKey = "a", [32]byte{7}
	must(t, i.Admits(token, "a", [32]byte{7}, now)) // its answer was lost
	wantKind(t, "another key", i.Admits(token, "a", [32]byte{8}, now), rookery.KindCredentials)
	wantKind(t, "another node", i.Admits(token, "b", [32]byte{7}, now), rookery.KindCredentials)
	wantKind(t, "too late", i.Admits(token, "a", [32]byte{7}, i.Expires), rookery.KindCredentials)
	other := identity.MintToken(token.Cluster, token.Authority)
	other.ID = token.ID
	wantKind(t, "another secret", i.Admits(other, "a", [32]byte{7}, now), rookery.KindCredentials)
}

func FuzzParseToken(f *testing.F) {
	good := "v1.00112233445566778899aabbccddeeff." + strings.Repeat("ab", 32) + ".0123456789abcdef." + strings.Repeat("A", 43)
	for _, s := range []string{good, "", "v1....", strings.ToUpper(good), good + "=", " " + good + "\n"} {
		f.Add(s)
	}
	if _, err := identity.ParseToken(good); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token, err := identity.ParseToken(s)
		if err != nil {
			return
		}
		if token.Text() != strings.TrimSpace(s) {
			t.Fatalf("%q reads as %q", s, token.Text())
		}
		if strings.HasSuffix(s, token.String()[len(token.String())-8:]) {
			t.Fatal("String gives the secret away")
		}
	})
}
