package session

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"

	"rookery/protocols/dns"
)

// TLSMode is what is wanted of TLS.
type TLSMode uint8

const (
	// Opportunistic uses TLS where it is offered and works, whoever the peer is
	// (RFC 7435).
	Opportunistic TLSMode = iota
	// InClear does not ask for it.
	InClear
	// Verified wants TLS and a certificate for one of the names.
	Verified
	// DANE wants TLS and a certificate that a TLSA record names (RFC 7672). Where
	// no record is usable, it wants TLS (2.2).
	DANE
)

func (m TLSMode) String() string {
	return [...]string{"opportunistic", "in clear", "verified", "DANE"}[m]
}

// TLSPolicy says what is wanted of TLS. The zero value is opportunistic.
type TLSPolicy struct {
	Mode TLSMode
	// Implicit has TLS begin with the connection (RFC 8314 3), not with STARTTLS.
	Implicit bool
	// Names are those that the certificate may be for, in Verified and for TLSA
	// records of usage 2; empty is the peer's name. The first is sent as SNI.
	Names []string
	// TLSA are the records of the peer, for DANE.
	TLSA []dns.TLSA
	// Roots are whom to believe in Verified; nil is the system's.
	Roots *x509.CertPool
}

// TLS is what came of it.
type TLS struct {
	Used            bool
	Version, Cipher string // as crypto/tls names them
	// By is how the peer's certificate was verified: "name", "DANE-EE", "DANE-TA",
	// or "" where it was not.
	By string
	// Why says why there is no TLS, or why it is not verified; Cause is the error
	// behind it, where there is one.
	Why   string
	Cause error
}

// ErrNoTLS is in the chain where the policy asks for TLS that the peer does not
// offer.
var ErrNoTLS = errors.New("the peer does not offer STARTTLS")

func (t TLS) String() string {
	switch {
	case !t.Used:
		return "no TLS: " + t.Why
	case t.By != "":
		return fmt.Sprintf("%s %s, verified by %s", t.Version, t.Cipher, t.By)
	}
	return fmt.Sprintf("%s %s, not verified: %s", t.Version, t.Cipher, t.Why)
}

// spoilt says that TLS was tried and has ended the connection, and that the
// policy goes on without it.
func (p TLSPolicy) spoilt(err error) bool {
	var e *Error
	return p.Mode == Opportunistic && !p.Implicit && errors.As(err, &e) && e.Stage == AtStartTLS && e.Reply.Code == 0
}

// startTLS brings the session under TLS as the policy wants it (RFC 3207).
func (s *Session) startTLS(ctx context.Context) error {
	mode := s.o.TLS.Mode
	if mode == InClear {
		s.tls.Why = "the policy is not to use it"
		return nil
	}
	if _, ok := s.Offers("STARTTLS"); !ok {
		s.tls.Why = ErrNoTLS.Error()
		if mode != Opportunistic {
			return lost(AtStartTLS, ErrNoTLS)
		}
		return nil
	}
	r, err := s.command(AtStartTLS, s.o.Timeouts.Handshake, "STARTTLS")
	switch {
	case err != nil:
		return err
	case r.Code == 220:
	case mode == Opportunistic && s.Usable():
		s.tls.Why = "the peer answered STARTTLS with " + r.String()
		return nil
	default:
		return refused(AtStartTLS, r)
	}
	if err := s.handshake(ctx); err != nil {
		return err
	}
	return s.hello()
}

func (s *Session) handshake(ctx context.Context) error {
	s.wire.within(s.o.Timeouts.Handshake)
	var verdict TLS
	conn := tls.Client(s.wire.conn, s.config(&verdict))
	if err := conn.HandshakeContext(ctx); err != nil {
		return lost(AtStartTLS, fmt.Errorf("TLS: %w", err))
	}
	verdict.Used = true
	state := conn.ConnectionState()
	verdict.Version, verdict.Cipher = tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite)
	s.tls = verdict
	s.wire.upgrade(conn)
	return nil
}

// names are those that the certificate may be for.
func (s *Session) names() []string {
	if len(s.o.TLS.Names) > 0 {
		return s.o.TLS.Names
	}
	if s.peer.Name != "" {
		return []string{s.peer.Name}
	}
	return []string{s.peer.Addr.Addr().String()}
}

// config verifies by the policy, and notes in verdict what came of it.
func (s *Session) config(verdict *TLS) *tls.Config {
	p, names := s.o.TLS, s.names()
	c := &tls.Config{
		InsecureSkipVerify: true, // VerifyConnection does it
		MinVersion:         tls.VersionTLS12,
	}
	if _, err := netip.ParseAddr(names[0]); err != nil {
		c.ServerName = names[0]
	}
	if p.Mode == Opportunistic {
		c.MinVersion = tls.VersionTLS10 // better than none
	}
	c.VerifyConnection = func(state tls.ConnectionState) (err error) {
		if p.Mode == DANE {
			verdict.By, verdict.Why, err = verifyDANE(p.TLSA, state.PeerCertificates, names)
			return err
		}
		if err = verifyNames(state.PeerCertificates, names, p.Roots); err == nil {
			verdict.By = "name"
			return nil
		}
		verdict.Why, verdict.Cause = err.Error(), err
		if p.Mode == Opportunistic {
			return nil
		}
		return err
	}
	return c
}

// verifyNames wants a certificate for one of the names, from a root.
func verifyNames(chain []*x509.Certificate, names []string, roots *x509.CertPool) error {
	if len(chain) == 0 {
		return errors.New("the peer has no certificate")
	}
	o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	return verifyOne(chain[0], names, o)
}

func verifyOne(leaf *x509.Certificate, names []string, o x509.VerifyOptions) (err error) {
	for _, n := range names {
		o.DNSName = n
		if _, err = leaf.Verify(o); err == nil {
			return nil
		}
	}
	return err
}
