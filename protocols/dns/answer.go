package dns

import (
	"context"
	"errors"
	"fmt"
	"time"

	mdns "github.com/miekg/dns"
)

const (
	// maxChain is how many CNAMEs one question may lead over.
	maxChain = 10
	// maxRecords is how many records of an answer are used; the others are
	// passed over.
	maxRecords = 256
)

// resolve asks until there is an outcome. A server may leave the end of a chain
// of CNAMEs to who asked; then the last name is asked for.
func (r *Resolver) resolve(ctx context.Context, q question) *outcome {
	c := chain{qtype: q.qtype, name: q.name, ttl: r.o.MaxTTL, seen: map[string]bool{q.name: true}}
	secure := true
	for {
		msg, from, err := r.ask(ctx, question{c.name, q.qtype})
		var more bool
		if err == nil {
			secure = secure && from.trusted && msg.AuthenticatedData
			more, err = c.follow(msg)
		}
		switch {
		case err == nil && more:
			continue
		case err == nil:
			return &outcome{records: c.records, name: c.name, secure: secure, ttl: c.ttl}
		case errors.Is(err, ErrNoName), errors.Is(err, ErrNoData):
			return &outcome{name: c.name, secure: secure, ttl: min(c.ttl, negativeTTL(msg), r.o.MaxNegativeTTL), err: err}
		}
		r.count.failures.Add(1)
		return &outcome{name: c.name, ttl: r.o.FailureTTL, err: err}
	}
}

// chain is the way from the name asked for over CNAMEs to the records.
type chain struct {
	qtype   uint16
	name    string // the last one so far
	seen    map[string]bool
	ttl     time.Duration
	records []mdns.RR
}

// follow goes on along what one answer says. more: the last name is still to be
// asked for. Records of other names than those on the way are passed over.
func (c *chain) follow(msg *mdns.Msg) (more bool, err error) {
	start := c.name
	for {
		next := ""
		for _, rr := range msg.Answer {
			h := rr.Header()
			if h.Class != mdns.ClassINET || fold(h.Name) != c.name {
				continue
			}
			alias, isAlias := rr.(*mdns.CNAME)
			switch {
			case h.Rrtype == c.qtype:
				if len(c.records) < maxRecords {
					c.records = append(c.records, rr)
				}
			case isAlias && next == "":
				next = fold(alias.Target)
			default:
				continue
			}
			c.ttl = min(c.ttl, seconds(h.Ttl))
		}
		if len(c.records) > 0 {
			return false, nil
		}
		if next == "" {
			break
		}
		if c.seen[next] {
			return false, fmt.Errorf("a loop of CNAMEs at %.255s", next)
		}
		if len(c.seen) > maxChain {
			return false, fmt.Errorf("more than %d CNAMEs in a row", maxChain)
		}
		c.seen[next], c.name = true, next
	}
	switch {
	case msg.Rcode == mdns.RcodeNameError:
		return false, ErrNoName
	case c.name != start && soa(msg) == nil:
		return true, nil
	}
	return false, ErrNoData
}

func soa(msg *mdns.Msg) *mdns.SOA {
	for _, rr := range msg.Ns {
		if s, ok := rr.(*mdns.SOA); ok {
			return s
		}
	}
	return nil
}

// negativeTTL is how long "there is none" may be kept: not at all without a SOA
// record (RFC 2308 5).
func negativeTTL(msg *mdns.Msg) time.Duration {
	s := soa(msg)
	if s == nil {
		return 0
	}
	return min(seconds(s.Hdr.Ttl), seconds(s.Minttl))
}

// seconds is a TTL; one with the highest bit set counts as 0 (RFC 2181 8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}
