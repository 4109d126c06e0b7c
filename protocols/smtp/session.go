package smtp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base32"
	"errors"
	"log/slog"
	"strings"

	gosmtp "github.com/emersion/go-smtp"
	"rookery"
	"rookery/directory"
	"rookery/protocols/delivery"
	"rookery/protocols/policy"
)

// session is one client between EHLO and its end, or STARTTLS. All is called
// from the connection's goroutine.
type session struct {
	server *Server
	mode   Mode
	conn   *gosmtp.Conn
	wire   *wire
	tls    *tls.ConnectionState // nil in clear
	judge  policy.Transaction
	id     string
	logger *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc

	user    *directory.Entry // signed in
	tx      *transaction     // after MAIL
	chunks  *delivery.Spool  // between the chunks of a message
	unknown int
}

// transaction is one message's envelope while it gathers.
type transaction struct {
	from       string // canonical; "" is the null sender
	utf8       bool
	size       int64 // as announced
	recipients []delivery.Recipient
}

func (s *Server) newSession(ctx context.Context, c *gosmtp.Conn, mode Mode) (*session, error) {
	ss := &session{server: s, mode: mode, conn: c, id: newID()}
	ss.wire = c.Conn().(*wire)
	if t := ss.wire.tls; t != nil {
		state := t.ConnectionState()
		ss.tls = &state
	}
	ss.ctx, ss.cancel = context.WithCancel(ctx)
	ss.logger = s.o.Logger.With("session", ss.id)
	ss.logger.Debug("smtp: session begins", "client", ss.wire.ip, "helo", clean(c.Hostname()), "mode", mode.String(), "tls", ss.tls != nil)
	if refusal := ss.begin(c.Hostname()); refusal != nil {
		return nil, refusal
	}
	ss.wire.sessionBegan(ss)
	return ss, nil
}

// begin has the connection judged. What it did before EHLO and before TLS says
// nothing that is true of it now, so this is when a session begins.
func (s *session) begin(hello string) *gosmtp.SMTPError {
	chain := s.server.o.Policy.Submission
	if s.mode == MX {
		chain = s.server.o.Policy.MX
	}
	s.judge = chain.Begin(policy.Connection{Client: s.wire.ip, TLS: s.tls != nil, Session: s.id})
	refusal := s.verdict(s.judge.OnConnect(s.ctx))
	if refusal == nil {
		refusal = s.verdict(s.judge.OnHello(s.ctx, hello))
	}
	if refusal != nil {
		s.logger.Info("smtp: session refused", "client", s.wire.ip, "helo", clean(hello), "code", refusal.Code)
		s.judge.OnEnd()
		s.cancel()
	}
	return refusal
}

// verdict is the reply to what was judged, nil when it goes on. Who is dropped
// is not heard again.
func (s *session) verdict(v policy.Verdict) *gosmtp.SMTPError {
	if v.Action < policy.Defer {
		return nil
	}
	if v.Action == policy.Drop {
		s.wire.kill()
	}
	return say(v.Reply.Code, v.Reply.Enhanced, v.Reply.Text)
}

// newID names a session in logs and trace fields: 13 characters, 64 bits.
func newID() string {
	var b [8]byte
	rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

// Reset forgets the transaction.
func (s *session) Reset() {
	s.dropChunks()
	s.tx = nil
	s.wire.messageEnds()
}

// Logout ends the session.
func (s *session) Logout() error {
	if s.wire.leaving() {
		s.conn.Conn().Write([]byte(farewell))
	}
	s.dropChunks()
	s.judge.OnEnd()
	s.cancel()
	return nil
}

// Mail begins a transaction.
func (s *session) Mail(from string, opts *gosmtp.MailOptions) error {
	if s.tx != nil {
		return say(503, gosmtp.EnhancedCode{5, 5, 1}, "A sender is given already; use RSET to start again")
	}
	if s.mode != MX && s.user == nil {
		return say(530, gosmtp.EnhancedCode{5, 7, 0}, "Sign in first")
	}
	tx := &transaction{utf8: opts.UTF8, size: opts.Size}
	sender := policy.Sender{User: s.user}
	if from != "" {
		addr, err := parsePath(from, opts.UTF8)
		if err != nil {
			return say(553, gosmtp.EnhancedCode{5, 1, 7}, "Bad sender address: "+reason(err))
		}
		sender.Address, tx.from = addr, addr.String()
	}
	if refusal := s.verdict(s.judge.OnMail(s.ctx, sender)); refusal != nil {
		return refusal
	}
	s.tx = tx
	return nil
}

// Rcpt adds a recipient.
func (s *session) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	tx := s.tx
	switch {
	case tx == nil:
		return say(503, gosmtp.EnhancedCode{5, 5, 1}, "Give the sender first")
	case s.chunks != nil:
		return say(503, gosmtp.EnhancedCode{5, 5, 1}, "Not between the chunks of a message")
	}
	addr, err := parsePath(to, tx.utf8)
	if err != nil {
		return say(501, gosmtp.EnhancedCode{5, 1, 3}, "Bad recipient address: "+reason(err))
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.server.o.Limits.Lookup)
	defer cancel()
	route, err := s.server.o.Router.Route(ctx, addr)
	refusal := s.routed(route, err)
	if err == nil {
		// Also where no road of ours goes: that mail may not be sent there
		// counts for more than that it cannot.
		if judged := s.verdict(s.judge.OnRecipient(ctx, policy.Recipient{Address: addr, Local: route.To != delivery.Remote})); judged != nil {
			refusal = judged
		}
	}
	if refusal == nil {
		refusal = s.room(ctx, route, tx.size)
	}
	switch {
	case refusal == nil:
		tx.recipients = append(tx.recipients, delivery.Recipient{Address: addr, Account: route.Account})
		return nil
	case refusal.Code == 550:
		return s.refuseUnknown(tx, addr, refusal)
	}
	return refusal
}

// routed answers for a recipient that mail cannot be brought to.
func (s *session) routed(r delivery.Route, err error) *gosmtp.SMTPError {
	switch {
	case rookery.Is(err, rookery.KindNotFound):
		return answer(err)
	case errors.Is(err, delivery.ErrDirectory):
		s.logger.Warn("smtp: recipient look-up failed", "to", r.Address.String(), "error", err)
		return lookup(err)
	case err != nil:
		s.logger.Warn("smtp: recipient not ready", "to", r.Address.String(), "error", err)
		return doubt(err)
	}
	return replyTo[r.To]
}

// replyTo has a row for every destination that no mail can be brought to yet.
var replyTo = map[delivery.Destination]*gosmtp.SMTPError{
	delivery.Remote:  say(451, gosmtp.EnhancedCode{4, 3, 2}, "Outbound delivery is not available yet"),
	delivery.Relay:   say(451, gosmtp.EnhancedCode{4, 3, 2}, "The mailbox is on another system and relaying to it is not available yet"),
	delivery.Forward: say(451, gosmtp.EnhancedCode{4, 3, 2}, "The mailbox is forwarded and forwarding is not available yet"),
}

// room answers for an account that cannot take a message of the announced size.
func (s *session) room(ctx context.Context, r delivery.Route, size int64) *gosmtp.SMTPError {
	err := s.server.o.Deliver.Check(ctx, r.Account, size)
	if err == nil {
		return nil
	}
	s.logger.Warn("smtp: recipient not ready", "to", r.Address.String(), "error", err)
	return doubt(err)
}

// refuseUnknown counts refused recipients: who guesses addresses is sent away.
func (s *session) refuseUnknown(tx *transaction, to rookery.Address, refusal *gosmtp.SMTPError) error {
	s.logger.Info("smtp: recipient refused", "from", tx.from, "to", to.String(), "client", s.wire.ip, "code", refusal.Code)
	s.unknown++
	if s.unknown < s.server.o.Limits.Unknown {
		return refusal
	}
	s.logger.Warn("smtp: too many unknown recipients", "client", s.wire.ip)
	s.wire.kill()
	return say(421, gosmtp.EnhancedCode{4, 7, 0}, "Too many unknown recipients, closing the connection")
}

// parsePath reads an address as the engine hands it over: unquoted.
func parsePath(s string, utf8 bool) (rookery.Address, error) {
	for i := 0; i < len(s) && !utf8; i++ {
		if s[i] >= 0x80 {
			return rookery.Address{}, errors.New("it is not ASCII and SMTPUTF8 was not given with MAIL")
		}
	}
	return rookery.UnquotedAddress(s)
}
