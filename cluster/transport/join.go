package transport

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"rookery/cluster/transport/identity"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"rookery"
)

// JoinRequest is what a joiner says.
type JoinRequest struct {
	Token identity.Token
	Node  rookery.NodeID
	// Request is the certificate request, PEM.
	Request []byte
	// Info is for the handler: addresses, version, zone.
	Info []byte
	// From is where the connection comes from.
	From string
}

// JoinAnswer is what a joiner gets.
type JoinAnswer struct {
	// Certificate is the node's, Authorities those to trust; both PEM.
	Certificate, Authorities []byte
	// Payload is for the joiner: keys, seeds.
	Payload []byte
}

// JoinHandler checks a token, uses it up and issues a certificate. Before
// the token is proven it may fail with KindUnavailable and otherwise only in
// ways that the joiner hears as one: wrong token. The kinds KindExists,
// KindConflict and KindInvalid reach the joiner with their text, so they are
// for joiners with a good token.
type JoinHandler func(ctx context.Context, q JoinRequest) (JoinAnswer, error)

// Bounds of joining.
const (
	maxJoinRequest = 64 << 10
	maxJoinAnswer  = 4 << 20
	joinTimeout    = 20 * time.Second
	maxGuests      = 8 // joining at once, with a good token and without

	// Failures allowed in a minute, from one address and in all. Who brings a
	// good token is let in beyond them.
	maxFailuresHost = 5
	maxFailures     = 60
)

type joinRequest struct {
	Token   string `cbor:"1,keyasint"`
	Node    string `cbor:"2,keyasint"`
	Request []byte `cbor:"3,keyasint"`
	Info    []byte `cbor:"4,keyasint,omitempty"`
}

type joinAnswer struct {
	Kind        rookery.Kind `cbor:"1,keyasint,omitempty"`
	Text        string       `cbor:"2,keyasint,omitempty"` // empty: joined
	Certificate []byte       `cbor:"3,keyasint,omitempty"`
	Authorities []byte       `cbor:"4,keyasint,omitempty"`
	Payload     []byte       `cbor:"5,keyasint,omitempty"`
}

func (t *Transport) serveJoin(c *conn) {
	defer c.Close()
	host := hostOf(c.RemoteAddr())
	answer := joinAnswer{Kind: rookery.KindLimit, Text: "too many attempts to join; wait a minute"}
	// The request is read first: a guest without one takes up no place.
	q, token, err := t.readJoin(c)
	invited := err == nil && t.opts.Invited != nil && t.opts.Invited(token)
	if t.guests.enter(host, invited, time.Now()) {
		failed := true
		if answer = refusedJoin(); err == nil {
			answer, failed = t.join(c, q, token)
		}
		t.guests.leave(host, invited, failed)
	}
	c.SetDeadline(time.Now().Add(t.opts.HandshakeTimeout))
	b, err := cbor.Marshal(answer)
	if err == nil {
		writeSized(c, b)
	}
}

func refusedJoin() joinAnswer {
	return joinAnswer{Kind: rookery.KindCredentials, Text: identity.ErrRefused.Error()}
}

// readJoin reads a request, of which it refuses what cannot be one of a joiner
// to this cluster.
func (t *Transport) readJoin(c *conn) (q joinRequest, token identity.Token, err error) {
	b, err := readSized(c, maxJoinRequest)
	if err == nil {
		err = cbor.Unmarshal(b, &q)
	}
	if err == nil {
		token, err = identity.ParseToken(q.Token)
	}
	if err == nil {
		err = identity.CheckNode(rookery.NodeID(q.Node))
	}
	if err == nil && token.Cluster != t.opts.Credentials.Current().Cluster {
		err = identity.ErrRefused
	}
	return q, token, err
}

// join has a request answered. failed counts against the host.
func (t *Transport) join(c *conn, q joinRequest, token identity.Token) (answer joinAnswer, failed bool) {
	ctx, cancel := context.WithTimeout(t.ctx, joinTimeout)
	defer cancel()
	if !t.serving.begin() {
		return joinAnswer{Kind: rookery.KindUnavailable, Text: "the node is stopping"}, false
	}
	defer t.serving.end()
	a, err := t.opts.Join(ctx, JoinRequest{token, rookery.NodeID(q.Node), q.Request, q.Info, c.RemoteAddr().String()})
	switch kind := rookery.KindOf(err); {
	case err == nil:
		t.opts.Logger.Info("a node joined", "node", q.Node, "remote", c.RemoteAddr(), "token", token)
		return joinAnswer{Certificate: a.Certificate, Authorities: a.Authorities, Payload: a.Payload}, false
	case kind == rookery.KindUnavailable:
		t.opts.Logger.Warn("a node could not join now", "node", q.Node, "remote", c.RemoteAddr(), "error", err)
		return joinAnswer{Kind: kind, Text: "the cluster cannot admit nodes now"}, false
	default:
		t.opts.Logger.Warn("a node was not admitted", "node", q.Node, "remote", c.RemoteAddr(), "token", token, "error", err)
		if kind == rookery.KindExists || kind == rookery.KindConflict || kind == rookery.KindInvalid {
			return joinAnswer{Kind: kind, Text: err.Error()}, true
		}
		return refusedJoin(), true
	}
}

func writeSized(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

func readSized(r io.Reader, limit int) ([]byte, error) {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(n[:])
	if int64(size) > int64(limit) {
		return nil, fmt.Errorf("%d bytes are announced, at most %d are taken", size, limit)
	}
	b := make([]byte, size)
	_, err := io.ReadFull(r, b)
	return b, err
}

// guests bounds joining and counts failures, minute by minute.
type guests struct {
	mu     sync.Mutex
	inside [2]int // without a good token and with one
	minute time.Time
	failed map[netip.Addr]int
	all    int
}

func (g *guests) enter(host netip.Addr, invited bool, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.failed == nil || now.Sub(g.minute) >= time.Minute {
		g.minute, g.failed, g.all = now, map[netip.Addr]int{}, 0
	}
	inside := g.of(invited)
	if *inside >= maxGuests || !invited && (g.all >= maxFailures || g.failed[host] >= maxFailuresHost) {
		return false
	}
	*inside++
	return true
}

// of is called with mu held.
func (g *guests) of(invited bool) *int {
	if invited {
		return &g.inside[1]
	}
	return &g.inside[0]
}

func (g *guests) leave(host netip.Addr, invited, failed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	*g.of(invited)--
	if failed {
		g.all++
		g.failed[host]++
	}
}
