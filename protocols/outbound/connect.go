package outbound

import (
	"context"
	"errors"

	"rookery"
	"rookery/protocols/outbound/session"
)

// Finder finds the hosts of a next hop, in the order in which to try them: at
// least one. KindNotFound or KindDenied: the domain is not there, or takes no
// mail; every other error is temporary.
type Finder interface {
	Find(ctx context.Context, hop Hop) ([]session.Peer, error)
}

// Hosts is a Connector that tries the hosts of a next hop in turn.
type Hosts struct {
	Find Finder
	// Hello is our name in EHLO.
	Hello string
	// Options are the rest of what a session needs: Dial, Source, Timeouts.
	Options session.Options
}

// maxHosts bounds the hosts that one attempt tries.
const maxHosts = 5

// Open implements Connector. Of hosts that all fail, the first one's reply is
// told, else the last one's failure.
func (h *Hosts) Open(ctx context.Context, hop Hop) (*session.Session, error) {
	peers, err := h.Find.Find(ctx, hop)
	if err != nil {
		return nil, err
	}
	var told error
	for _, p := range peers[:min(len(peers), maxHosts)] {
		o := h.Options
		o.Hello, o.Auth, o.TLS.Mode = h.Hello, hop.Auth, hop.TLS
		s, err := session.Open(ctx, p, o)
		if err == nil {
			return s, nil
		}
		err = &HostError{p, err}
		var failed *session.Error
		if answered := errors.As(told, &failed) && failed.Reply.Code > 0; !answered {
			told = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	if told == nil {
		told = rookery.E("connect", rookery.KindUnavailable, errors.New("the next hop has no host"))
	}
	return nil, told
}
