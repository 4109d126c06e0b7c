package outbound

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rookery"
	"rookery/protocols/outbound/session"
	"rookery/protocols/outbound/tlspolicy"
	"rookery/protocols/outbound/tlsreport"
)

// Host is an address of a host to try.
type Host struct {
	session.Peer
	// Policy finds which TLS the host is owed now; nil is opportunistic. Its error
	// leaves the host out, and a policy comes with it for the verdict.
	Policy func(ctx context.Context) (tlspolicy.Policy, error)
}

func (h *Host) policy(ctx context.Context) (tlspolicy.Policy, error) {
	if h.Policy == nil {
		return tlspolicy.Policy{}, nil
	}
	return h.Policy(ctx)
}

// Finder finds the hosts of a next hop, in the order in which to try them: at
// least one. KindNotFound or KindDenied: the domain is not there, or takes no
// mail; every other error is temporary.
type Finder interface {
	Find(ctx context.Context, hop Hop) ([]Host, error)
}

// Connection is a session under a policy.
type Connection struct {
	*session.Session
	TLS   tlspolicy.Verdict
	host  Host
	owed  tlspolicy.Policy
	clock func() time.Time
	asked time.Time // when it was last asked what is owed
}

// policyFor is how long a connection is used without asking again what its host
// is owed.
const policyFor = 5 * time.Second

// Fits says whether the host is still owed what the connection was made with.
func (c *Connection) Fits(ctx context.Context) bool {
	now := c.clock()
	if age := now.Sub(c.asked); age >= 0 && age < policyFor {
		return true
	}
	owed, err := c.host.policy(ctx)
	c.asked = now
	return err == nil && c.owed.Same(&owed)
}

// Hosts is a Connector that tries the hosts of a next hop in turn.
type Hosts struct {
	Find Finder
	// Hello is our name in EHLO.
	Hello string
	// Options are the rest of what a session needs: Dial, Source, Timeouts.
	Options session.Options
	// Observe hears how each session with a host of a domain fared with TLS; nil:
	// nobody does.
	Observe func(domain string, r tlsreport.Result)
	// Clock tells how long a connection is used; nil is time.Now.
	Clock func() time.Time
}

// maxHosts bounds the connections that one attempt tries.
const maxHosts = 5

// Open implements Connector. Of hosts that all fail, the first one's reply is
// told, or that its TLS failed; else the last one's failure.
func (h *Hosts) Open(ctx context.Context, hop Hop) (*Connection, error) {
	hosts, err := h.Find.Find(ctx, hop)
	if err != nil {
		return nil, err
	}
	var told error
	tried := 0
	for _, p := range hosts {
		c, err := h.open(ctx, hop, p)
		if err == nil {
			return c, nil
		}
		if !telling(told) {
			told = err
		}
		if errors.As(err, new(*session.Error)) {
			tried++
		}
		if ctx.Err() != nil || tried == maxHosts {
			break
		}
	}
	if told == nil {
		told = rookery.E("connect", rookery.KindUnavailable, errors.New("the next hop has no host"))
	}
	return nil, told
}

// telling says that an error has a reply in it, or that TLS is why.
func telling(err error) bool {
	var failed *session.Error
	var host *HostError
	return errors.As(err, &failed) && failed.Reply.Code > 0 || errors.As(err, &host) && host.TLS.Failed
}

func (h *Hosts) open(ctx context.Context, hop Hop, to Host) (*Connection, error) {
	clock := h.Clock
	if clock == nil {
		clock = time.Now
	}
	asked := clock()
	owed, err := to.policy(ctx)
	if err != nil {
		h.observe(hop, tlsreport.PolicyFailed(&owed, err))
		return nil, &HostError{to.Peer, owed.Refusal(err), err}
	}
	o := h.Options
	o.Hello, o.Auth, o.TLS = h.Hello, hop.Auth, owed.TLS
	s, err := session.Open(ctx, to.Peer, o)
	if err == nil {
		h.observe(hop, tlsreport.Opened(&owed, s.TLS()))
		return &Connection{s, owed.Verdict(s.TLS()), to, owed, clock, asked}, nil
	}
	if r, ok := tlsreport.Failed(&owed, err); ok {
		h.observe(hop, r)
	}
	failed := &HostError{Peer: to.Peer, Err: err}
	var at *session.Error
	if errors.As(err, &at) && at.Stage == session.AtStartTLS && owed.Demands() {
		failed.TLS = owed.Refusal(at.Err)
	}
	return nil, failed
}

// observe tells of sessions that domains want to hear of: not those with hosts that
// somebody has set.
func (h *Hosts) observe(hop Hop, r tlsreport.Result) {
	if h.Observe != nil && !hop.Configured {
		h.Observe(hop.Name, r)
	}
}

// HostError is a Connector's error about one host.
type HostError struct {
	Peer session.Peer
	// TLS is set where TLS is why.
	TLS tlspolicy.Verdict
	Err error
}

func (e *HostError) Error() string {
	return fmt.Sprintf("%s (%s): %v", e.Peer.Name, e.Peer.Addr, e.Err)
}

func (e *HostError) Unwrap() error { return e.Err }
