// Package session is one outgoing SMTP connection (RFC 5321), as its client. It
// owns the command loop: banner, EHLO, STARTTLS and the verdict on TLS, AUTH,
// pipelined transactions with a result for each recipient, DATA and BDAT, and
// every bound on what a peer costs in time and bytes.
//
// It never chooses a peer, never decides whether TLS is needed, never tries
// again and never alters a message: what cannot be sent as it is to this peer is
// refused with an error that says why, before anything is sent.
package session

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// Peer is whom to connect to.
type Peer struct {
	// Name is the host's name in A-labels, for TLS; "" where only the address is
	// known.
	Name string
	Addr netip.AddrPort
}

// Timeouts bound the steps, each from its first octet to the last of its reply,
// however slowly octets come. Zero values mean the defaults given (RFC 5321
// 4.5.3.2).
type Timeouts struct {
	Connect   time.Duration // 30 s
	Banner    time.Duration // 5 min
	Hello     time.Duration // EHLO, HELO; 5 min
	Handshake time.Duration // STARTTLS and TLS; 1 min
	Auth      time.Duration // each step of AUTH; 2 min
	Mail      time.Duration // MAIL and RSET; 5 min
	Rcpt      time.Duration // a group of RCPT; 5 min
	Data      time.Duration // DATA and its 354; 2 min
	Block     time.Duration // until the peer has taken 32 KiB more; 3 min
	Content   time.Duration // the whole content, without the reply; 1 h
	End       time.Duration // the reply to the final dot or the last chunk; 10 min
	Quit      time.Duration // 10 s
}

func (t Timeouts) withDefaults() Timeouts {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&t.Connect, 30 * time.Second}, {&t.Banner, 5 * time.Minute}, {&t.Hello, 5 * time.Minute},
		{&t.Handshake, time.Minute}, {&t.Auth, 2 * time.Minute}, {&t.Mail, 5 * time.Minute},
		{&t.Rcpt, 5 * time.Minute}, {&t.Data, 2 * time.Minute}, {&t.Block, 3 * time.Minute},
		{&t.Content, time.Hour}, {&t.End, 10 * time.Minute}, {&t.Quit, 10 * time.Second},
	} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	return t
}

// Auth is a name and password for PLAIN (RFC 4616) or LOGIN. They are sent under
// TLS only.
type Auth struct{ Username, Password string }

// Options say how to talk to a peer. Hello is required.
type Options struct {
	// Hello is our name in EHLO.
	Hello string
	// Source is the address to connect from; the zero value lets the system
	// choose.
	Source netip.Addr
	// Dial makes the connection instead of a net.Dialer.
	Dial func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	// TLS says what is wanted of it. Its zero value uses it where offered.
	TLS TLSPolicy
	// Auth signs in, where it is set.
	Auth     *Auth
	Timeouts Timeouts
}

// Session is a connection on which one message after the other may be sent. It
// is for one goroutine at a time.
type Session struct {
	o        Options
	peer     Peer
	wire     *wire
	features map[string]string // keyword of EHLO, its parameters
	tls      TLS
	began    bool // a transaction may be open
	sent     int
}

// Open connects and brings the session to where a message may be sent. The error
// is an *Error with the stage that failed.
//
// Where TLS is opportunistic and its handshake fails, Open connects once more
// and goes on in clear.
func Open(ctx context.Context, peer Peer, o Options) (*Session, error) {
	o.Timeouts = o.Timeouts.withDefaults()
	s, err := open(ctx, peer, o)
	if err == nil || !o.TLS.spoilt(err) || ctx.Err() != nil {
		return s, err
	}
	why := err
	o.TLS.Mode = InClear
	if s, err = open(ctx, peer, o); err == nil {
		s.tls.Why, s.tls.Cause = "it failed, so the mail goes in clear: "+why.Error(), why
	}
	return s, err
}

func open(ctx context.Context, peer Peer, o Options) (*Session, error) {
	s := &Session{o: o, peer: peer}
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, lost(AtConnect, err)
	}
	s.wire = newWire(conn)
	unbind := s.wire.bind(ctx)
	err = s.begin(ctx)
	if !unbind() && err == nil {
		err = lost(AtAuth, ctx.Err())
	}
	if err != nil {
		s.wire.close()
		return nil, err
	}
	return s, nil
}

func (s *Session) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.Timeouts.Connect)
	defer cancel()
	if s.o.Dial != nil {
		return s.o.Dial(ctx, s.peer.Addr)
	}
	var d net.Dialer
	if s.o.Source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.o.Source, 0))
	}
	return d.DialContext(ctx, "tcp", s.peer.Addr.String())
}

// begin goes from the connection to the end of AUTH.
func (s *Session) begin(ctx context.Context) error {
	if s.o.TLS.Implicit {
		if err := s.handshake(ctx); err != nil {
			return err
		}
	}
	if err := s.banner(); err != nil {
		return err
	}
	if err := s.hello(); err != nil {
		return err
	}
	if !s.o.TLS.Implicit {
		if err := s.startTLS(ctx); err != nil {
			return err
		}
	}
	return s.auth()
}

// Offers says whether the peer offered an extension, and with which parameters.
func (s *Session) Offers(keyword string) (params string, ok bool) {
	params, ok = s.features[keyword]
	return params, ok
}

// Peer is whom the session talks to.
func (s *Session) Peer() Peer { return s.peer }

// TLS is the verdict on the connection.
func (s *Session) TLS() TLS { return s.tls }

// Sent counts the messages that the peer has taken on this connection.
func (s *Session) Sent() int { return s.sent }

// Usable says whether another message may be sent: nothing went wrong on the
// connection so far.
func (s *Session) Usable() bool { return s.wire.dead == nil }

// Reset asks with RSET whether the peer is still there, as before a message on a
// connection that was idle.
func (s *Session) Reset(ctx context.Context) error {
	defer s.wire.bind(ctx)()
	return s.reset()
}

func (s *Session) reset() error {
	r, err := s.command(AtReset, s.o.Timeouts.Mail, "RSET")
	if err != nil {
		return err
	}
	if r.Code/100 != 2 {
		s.wire.close()
		return refused(AtReset, r)
	}
	s.began = false
	return nil
}

// Quit says goodbye, where the connection still works, and closes it.
func (s *Session) Quit(ctx context.Context) {
	defer s.wire.bind(ctx)()
	if s.Usable() {
		// Whatever it answers, the connection is over.
		_, _ = s.command(AtQuit, s.o.Timeouts.Quit, "QUIT")
	}
	s.wire.bye()
}

// Close closes the connection without a word.
func (s *Session) Close() error {
	s.wire.close()
	return nil
}

// command sends one line and waits for its reply.
func (s *Session) command(at Stage, timeout time.Duration, line string) (Reply, error) {
	s.wire.within(timeout)
	if err := s.wire.line(line); err != nil {
		return Reply{}, lost(at, err)
	}
	if err := s.wire.flush(); err != nil {
		return s.last(at, err)
	}
	r, err := s.wire.reply()
	if err != nil {
		return Reply{}, lost(at, err)
	}
	return r, nil
}

// last looks for what a peer said before it stopped listening.
func (s *Session) last(at Stage, err error) (Reply, error) {
	if r, ok := s.wire.farewell(); ok {
		return r, nil
	}
	return Reply{}, lost(at, err)
}

func quoted(s string) string { return fmt.Sprintf("%.200q", s) }
