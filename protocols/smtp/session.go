package smtp

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base32"
	"fmt"
	"log/slog"
	"strings"

	gosmtp "github.com/emersion/go-smtp"
	"rookery"
	"rookery/directory"
	"rookery/protocols/delivery"
)

// session is one client between EHLO and its end, or STARTTLS. All is called
// from the connection's goroutine.
type session struct {
	server *Server
	mode   Mode
	conn   *gosmtp.Conn
	wire   *wire
	tls    *tls.ConnectionState // nil in clear
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

func (s *Server) newSession(ctx context.Context, c *gosmtp.Conn, mode Mode) *session {
	ss := &session{server: s, mode: mode, conn: c, id: newID()}
	ss.wire = c.Conn().(*wire)
	if t := ss.wire.tls; t != nil {
		state := t.ConnectionState()
		ss.tls = &state
	}
	ss.wire.sessionBegan(ss)
	ss.ctx, ss.cancel = context.WithCancel(ctx)
	ss.logger = s.o.Logger.With("session", ss.id)
	ss.logger.Debug("smtp: session begins", "client", ss.wire.ip, "helo", clean(c.Hostname()), "mode", mode.String(), "tls", ss.tls != nil)
	return ss
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
	if from != "" {
		addr, err := parsePath(from, opts.UTF8)
		if err != nil {
			return say(553, gosmtp.EnhancedCode{5, 1, 7}, "Bad sender address: "+reason(err))
		}
		if s.user != nil && s.server.o.Sender != AnySender && !s.user.Has(addr) {
			return say(553, gosmtp.EnhancedCode{5, 7, 1}, "Not an address of yours: use one of your own as sender")
		}
		tx.from = addr.String()
	}
	s.tx = tx
	return nil
}

// Rcpt adds a recipient.
func (s *session) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	tx, user := s.tx, s.user
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
	if !s.server.o.Directory.Local(addr.Domain) {
		if user == nil {
			return s.refuseUnknown(tx, addr, say(550, gosmtp.EnhancedCode{5, 7, 1}, "Not a domain of this system; relaying is not permitted"))
		}
		return say(451, gosmtp.EnhancedCode{4, 3, 2}, "Outbound delivery is not available yet")
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.server.o.Limits.Lookup)
	defer cancel()
	r, refusal := s.resolve(ctx, addr, tx.size)
	if refusal != nil {
		if refusal.Code == 550 {
			return s.refuseUnknown(tx, addr, refusal)
		}
		return refusal
	}
	tx.recipients = append(tx.recipients, r)
	return nil
}

// resolve finds the account that an address delivers to, with room for the
// announced size.
func (s *session) resolve(ctx context.Context, addr rookery.Address, size int64) (delivery.Recipient, *gosmtp.SMTPError) {
	none := delivery.Recipient{}
	o := &s.server.o
	entry, err := o.Directory.Recipient(ctx, addr)
	if rookery.Is(err, rookery.KindNotFound) && strings.EqualFold(addr.Local, "postmaster") && o.Postmaster != (rookery.Address{}) {
		entry, err = o.Directory.Recipient(ctx, o.Postmaster)
	}
	if rookery.Is(err, rookery.KindNotFound) {
		return none, answer(err)
	}
	if err != nil {
		s.logger.Warn("smtp: recipient look-up failed", "to", addr.String(), "error", err)
		return none, lookup(err)
	}
	if entry.Host != "" {
		return none, say(451, gosmtp.EnhancedCode{4, 3, 2}, "The mailbox is on another system and relaying to it is not available yet")
	}
	if entry.ForwardOnly {
		return none, say(451, gosmtp.EnhancedCode{4, 3, 2}, "The mailbox is forwarded and forwarding is not available yet")
	}
	quota := entry.Quota
	if quota == 0 {
		quota = o.DefaultQuota
	}
	id, err := o.Accounts.Ensure(ctx, entry.Key, quota)
	if err == nil {
		err = o.Deliver.Check(ctx, id, size)
	}
	if err != nil {
		s.logger.Warn("smtp: recipient not ready", "to", addr.String(), "error", err)
		return none, doubt(err)
	}
	return delivery.Recipient{Address: addr, Account: id}, nil
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
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || at == len(s)-1 {
		return rookery.Address{}, fmt.Errorf("it needs the form local@domain")
	}
	local := s[:at]
	if len(local) > 64 {
		return rookery.Address{}, fmt.Errorf("the local part is longer than 64 bytes")
	}
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return rookery.Address{}, fmt.Errorf("it has a control character")
		}
		if s[i] >= 0x80 && !utf8 {
			return rookery.Address{}, fmt.Errorf("it is not ASCII and SMTPUTF8 was not given with MAIL")
		}
	}
	domain, err := rookery.NormalDomain(s[at+1:])
	if err != nil {
		return rookery.Address{}, fmt.Errorf("the domain is malformed")
	}
	return rookery.Address{Local: local, Domain: domain}, nil
}
