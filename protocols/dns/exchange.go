package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	mdns "github.com/miekg/dns"
)

const (
	// udpSize is what a server may send over UDP: no fragments on any usual path
	// (the DNS flag day of 2020).
	udpSize = 1232
	// maxStray is how many messages that answer something else are passed over.
	maxStray = 16
)

// ask has one server after the other try, until one answers. A server that said
// that it cannot is not asked again.
//
// Once a server that is believed stayed silent or failed, others are not asked:
// a validating server fails where an answer is bogus, and the answer of one that
// does not validate would hide that.
func (r *Resolver) ask(ctx context.Context, q question) (*mdns.Msg, server, error) {
	list, err := r.list()
	if err != nil {
		return nil, server{}, err
	}
	select {
	case r.room <- struct{}{}:
		defer func() { <-r.room }()
	case <-ctx.Done():
		return nil, server{}, errors.New("too many DNS questions are on their way")
	}
	believed := false
	silent := make([]bool, len(list))
	var failed error
	for i := range max(r.o.Attempts, len(list)) {
		s := list[i%len(list)]
		if i >= len(list) && !silent[i%len(list)] || believed && !s.trusted {
			continue
		}
		msg, err := r.exchange(ctx, s, q)
		if err == nil {
			r.last.Store(&s)
			return msg, s, nil
		}
		failed = fmt.Errorf("%v: %w", s.addr, err)
		if ctx.Err() != nil {
			break
		}
		silent[i%len(list)] = !errors.As(err, new(refusal))
		if s.trusted && !errors.Is(err, syscall.ECONNREFUSED) {
			believed = true
		}
	}
	return nil, server{}, failed
}

// refusal is an answer that says that the server cannot answer.
type refusal string

func (r refusal) Error() string { return string(r) }

// exchange asks one server over UDP, without EDNS where it does not know that,
// and over TCP where the answer did not fit.
func (r *Resolver) exchange(ctx context.Context, s server, q question) (*mdns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	msg, err := r.send(ctx, "udp", s, q, true)
	if err == nil && msg.Rcode == mdns.RcodeFormatError {
		msg, err = r.send(ctx, "udp", s, q, false)
	}
	if err == nil && msg.Truncated {
		msg, err = r.send(ctx, "tcp", s, q, true)
	}
	switch {
	case err != nil:
		return nil, err
	case msg.Rcode != mdns.RcodeSuccess && msg.Rcode != mdns.RcodeNameError:
		return nil, refusal("the answer is " + rcode(msg.Rcode))
	case msg.Truncated:
		return nil, refusal("the answer is truncated over TCP")
	case referral(msg):
		return nil, refusal("the server refers to others: it does not answer recursively")
	}
	return msg, nil
}

func rcode(n int) string {
	if s, ok := mdns.RcodeToString[n]; ok {
		return s
	}
	return fmt.Sprintf("code %d", n)
}

// referral tells a pointer to other servers from "no such record" (RFC 2308 2.2).
func referral(msg *mdns.Msg) bool {
	if msg.Rcode != mdns.RcodeSuccess || len(msg.Answer) > 0 || soa(msg) != nil {
		return false
	}
	for _, rr := range msg.Ns {
		if rr.Header().Rrtype == mdns.TypeNS {
			return true
		}
	}
	return false
}

// send asks once, over a socket of its own: a new port for each question makes
// forged answers hard.
func (r *Resolver) send(ctx context.Context, network string, s server, q question, edns bool) (*mdns.Msg, error) {
	r.count.exchanges.Add(1)
	if network == "tcp" {
		r.count.tcp.Add(1)
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, network, s.addr.String())
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	until, _ := ctx.Deadline()
	if err := raw.SetDeadline(until); err != nil {
		return nil, err
	}
	// Closing unblocks what waits, when the resolver is closed.
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	conn := &mdns.Conn{Conn: raw, UDPSize: udpSize}
	ask := message(s, q, edns)
	if err := conn.WriteMsg(ask); err != nil {
		return nil, err
	}
	for range maxStray {
		msg, err := conn.ReadMsg()
		if err != nil {
			return nil, err
		}
		if answers(msg, ask) {
			return msg, nil
		}
	}
	return nil, errors.New("the answers belong to other questions")
}

// message is the question. The AD bit asks for the one of the answer (RFC 6840
// 5.7); DO does too for servers that want it, and only where it is believed,
// because signatures make the answer larger.
func message(s server, q question, edns bool) *mdns.Msg {
	m := new(mdns.Msg).SetQuestion(q.name+".", q.qtype)
	m.AuthenticatedData = true
	if edns {
		m.SetEdns0(udpSize, s.trusted)
	}
	return m
}

func answers(msg, ask *mdns.Msg) bool {
	if msg.Id != ask.Id || !msg.Response || msg.Opcode != mdns.OpcodeQuery {
		return false
	}
	if len(msg.Question) != 1 {
		// Some servers leave it away where they failed.
		return len(msg.Question) == 0 && msg.Rcode != mdns.RcodeSuccess && msg.Rcode != mdns.RcodeNameError
	}
	a, b := msg.Question[0], ask.Question[0]
	return a.Qtype == b.Qtype && a.Qclass == b.Qclass && fold(a.Name) == fold(b.Name)
}
