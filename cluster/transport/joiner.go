package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"rookery/cluster/transport/identity"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"rookery"
)

// Joining is how a node asks to be let into a cluster.
type Joining struct {
	Token identity.Token
	// Addresses of nodes of the cluster, asked in turn.
	Addresses []string
	// Node is the joiner's own id.
	Node rookery.NodeID
	// Info is handed to the cluster's JoinHandler, at most 32 KiB.
	Info []byte
	// Clock and Dial are as in Options.
	Clock func() time.Time
	Dial  func(ctx context.Context, address string) (net.Conn, error)
}

// Join asks to join and gives the node's identity and the payload of the
// cluster's handler. A node that is away, or whose answer was lost, is
// followed by the next, with the same key; a refusal is final.
// KindCredentials: the token is wrong, used or expired. KindInvalid: all
// addresses are of another cluster than the token.
func Join(ctx context.Context, j Joining) (*identity.Identity, []byte, error) {
	const op = "join cluster"
	if j.Clock == nil {
		j.Clock = time.Now
	}
	if j.Dial == nil {
		j.Dial = dialTCP
	}
	if err := identity.CheckNode(j.Node); err != nil {
		return nil, nil, rookery.E(op, rookery.KindInvalid, err)
	}
	if len(j.Addresses) == 0 {
		return nil, nil, rookery.E(op, rookery.KindInvalid, errors.New("no address of a node of the cluster is given"))
	}
	request, key, err := identity.NewRequest(j.Node)
	if err != nil {
		return nil, nil, err
	}
	var failed []error
	for _, address := range j.Addresses {
		answer, err := j.ask(ctx, address, request)
		if err != nil {
			failed = append(failed, fmt.Errorf("node at %s: %w", address, err))
			continue
		}
		if answer.Text != "" && answer.Kind != rookery.KindUnavailable && answer.Kind != rookery.KindUnknown {
			return nil, nil, &rookery.Error{Op: op, Kind: answer.Kind, Err: errors.New(answer.Text)}
		}
		if answer.Text != "" {
			failed = append(failed, fmt.Errorf("node at %s: %s", address, answer.Text))
			continue
		}
		id, err := j.accept(answer, key)
		if err != nil {
			return nil, nil, rookery.E(op, rookery.KindDamaged, err)
		}
		return id, answer.Payload, nil
	}
	kind := rookery.KindUnavailable
	if !slices.ContainsFunc(failed, func(err error) bool { return !errors.Is(err, identity.ErrOtherCluster) }) {
		kind = rookery.KindInvalid // asking again helps nothing
	}
	return nil, nil, &rookery.Error{Op: op, Kind: kind, Err: errors.Join(failed...)}
}

func (j *Joining) ask(ctx context.Context, address string, request []byte) (a joinAnswer, err error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout+10*time.Second)
	defer cancel()
	raw, err := j.Dial(ctx, address)
	if err != nil {
		return a, err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	c := tls.Client(raw, &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{protoJoin}, Time: j.Clock,
		InsecureSkipVerify: true, // the authority is known by the token: VerifyConnection checks everything
		VerifyConnection:   j.verify,
	})
	if err := c.HandshakeContext(ctx); err != nil {
		return a, err
	}
	q, err := cbor.Marshal(joinRequest{Token: j.Token.Text(), Node: string(j.Node), Request: request, Info: j.Info})
	if err != nil {
		return a, err
	}
	if err := writeSized(c, q); err != nil {
		return a, err
	}
	b, err := readSized(c, maxJoinAnswer)
	if err != nil {
		return a, err
	}
	return a, cbor.Unmarshal(b, &a)
}

// verify finds the token's authority among the certificates shown and has
// the node's certificate checked against it alone.
func (j *Joining) verify(cs tls.ConnectionState) error {
	if cs.NegotiatedProtocol != protoJoin {
		return errors.New("it does not admit nodes")
	}
	return j.Token.Verify(cs.PeerCertificates, j.Clock())
}

// accept checks what was given: it must be this node's, and of the token's
// authority.
func (j *Joining) accept(a joinAnswer, key []byte) (*identity.Identity, error) {
	id, err := identity.NewIdentity(a.Certificate, key, a.Authorities)
	if err != nil {
		return nil, err
	}
	if id.Node != j.Node || id.Cluster != j.Token.Cluster {
		return nil, errors.New("the certificate is another node's")
	}
	return id, j.Token.Pins(id)
}
