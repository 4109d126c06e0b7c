package smtp

import (
	"fmt"
	"strconv"
	"time"

	"rookery/protocols/delivery"
)

// holdFor is HOLDFOR of MAIL: seconds, at most nine digits (RFC 4865 4.3).
func holdFor(p *mailParams, v string, _ bool) error {
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil || n == 0 || len(v) > 9 || v[0] == '0' {
		return errParameter
	}
	p.holdFor = time.Duration(n) * time.Second
	return nil
}

// holdUntil is HOLDUNTIL of MAIL: a date and time of RFC 3339.
func holdUntil(p *mailParams, v string, _ bool) (err error) {
	if p.holdUntil, err = time.Parse(time.RFC3339, v); err != nil {
		return errParameter
	}
	return nil
}

// scheduled is when a message is to go, zero at once. Only who has signed in may
// say so, as EHLO announces.
func (s *session) scheduled(p *mailParams) (at time.Time, refusal *Reply) {
	if p.holdFor == 0 && p.holdUntil.IsZero() {
		return at, nil
	}
	now := s.server.o.Clock()
	switch at = p.holdUntil; {
	case s.user == nil:
		return at, refuse(555, enhanced{5, 5, 4}, "A time to send is taken from users who have signed in only")
	case p.holdFor != 0 && !at.IsZero():
		return at, refuse(501, enhanced{5, 5, 4}, "Give HOLDFOR or HOLDUNTIL, not both")
	case p.holdFor != 0:
		at = now.Add(p.holdFor)
	}
	switch {
	case at.Sub(now) > delivery.MaxAhead:
		return at, refuse(501, enhanced{5, 5, 4}, fmt.Sprintf("A message can be held for at most %d seconds", maxHold))
	case !at.After(now):
		return time.Time{}, nil // that time has come
	}
	return at, nil
}

const maxHold = int64(delivery.MaxAhead / time.Second)

// futureRelease is the line of EHLO's reply (RFC 4865 4.1).
func (s *session) futureRelease() string {
	return fmt.Sprintf("FUTURERELEASE %d %s", maxHold, s.server.o.Clock().Add(delivery.MaxAhead).UTC().Format(time.RFC3339))
}
