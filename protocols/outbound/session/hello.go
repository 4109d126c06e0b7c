package session

import "strings"

// maxFeatures bounds what is kept of a reply to EHLO.
const maxFeatures = 64

func (s *Session) banner() error {
	s.wire.within(s.o.Timeouts.Banner)
	r, err := s.wire.reply()
	if err != nil {
		return lost(AtBanner, err)
	}
	if r.Code/100 != 2 {
		return refused(AtBanner, r)
	}
	return nil
}

// hello says EHLO, and HELO to a peer that knows no EHLO (RFC 5321 3.2). What an
// earlier EHLO offered is forgotten.
func (s *Session) hello() error {
	s.features = map[string]string{}
	r, err := s.command(AtHello, s.o.Timeouts.Hello, "EHLO "+s.o.Hello)
	if err == nil && r.Code/100 == 5 {
		r, err = s.command(AtHello, s.o.Timeouts.Hello, "HELO "+s.o.Hello)
		r.lines = nil
	}
	if err != nil {
		return err
	}
	if r.Code/100 != 2 {
		return refused(AtHello, r)
	}
	for i, line := range r.lines {
		keyword, params, _ := strings.Cut(line, " ")
		if i > 0 && keyword != "" && len(s.features) < maxFeatures {
			s.features[strings.ToUpper(keyword)] = strings.TrimSpace(params)
		}
	}
	return nil
}
