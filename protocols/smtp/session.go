package smtp

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/protocols/delivery"
	"rookery/protocols/delivery/spool"
	"rookery/protocols/listen"
	"rookery/protocols/policy"
	"rookery/protocols/relay"
)

// session is one client between EHLO and its end, or STARTTLS.
type session struct {
	server   *Server
	mode     Mode
	conn     *conn
	hello    string // the name that the client gave itself
	extended bool   // by EHLO, not HELO
	judge    policy.Transaction
	id       string
	logger   *slog.Logger
	ctx      context.Context
	cancel   context.CancelFunc

	user    *directory.Entry // signed in
	signed  *relay.Grant     // by a relay credential
	grant   *relay.Grant     // may relay; looked at again with each MAIL
	tx      *transaction     // after MAIL
	chunks  *spool.Spool     // between the chunks of a message
	unknown int              // recipients refused
	cause   error            // behind the reply being made, for the log
}

// transaction is one message's envelope while it gathers.
type transaction struct {
	from       string // canonical; "" is the null sender
	params     mailParams
	recipients []delivery.Recipient
	remote     []delivery.RemoteRecipient
	forwards   []string          // the marks of mailboxes that forward it
	lists      []string          // the List-Ids of lists that it goes to
	sender     rookery.AccountID // of who has signed in, once it matters
	scheduled  time.Time         // when it is to go; zero is at once
}

// count is how many recipients it has.
func (tx *transaction) count() int { return len(tx.recipients) + len(tx.remote) }

// addresses are those of its recipients.
func (tx *transaction) addresses() (all []string) {
	for _, r := range tx.recipients {
		all = append(all, r.Address.String())
	}
	for _, r := range tx.remote {
		all = append(all, r.Address.String())
	}
	return all
}

func newSession(c *conn, name string) *session {
	s := &session{server: c.server, mode: c.listener.mode, conn: c, hello: name, id: newID()}
	s.ctx, s.cancel = context.WithCancel(c.ctx)
	s.logger = s.server.o.Logger.With("session", s.id)
	s.logger.Debug("smtp: session begins", "client", c.ip, "helo", clean(name), "mode", s.mode.String(), "tls", c.tls != nil)
	return s
}

// begin has the connection judged. What it did before EHLO and before TLS says
// nothing that is true of it now, so this is when a session begins.
func (s *session) begin() *Reply {
	chain := s.server.o.Policy.Submission
	switch s.mode {
	case MX:
		chain = s.server.o.Policy.MX
	case Relay:
		chain = s.server.o.Policy.Relay
	}
	s.judge = chain.Begin(policy.Connection{Client: s.conn.ip, TLS: s.conn.tls != nil, Session: s.id})
	refusal := s.verdict(s.judge.OnConnect(s.ctx))
	if refusal == nil {
		refusal = s.verdict(s.judge.OnHello(s.ctx, s.hello))
	}
	if refusal != nil {
		s.refused("EHLO", "", "", *refusal)
		s.end()
	}
	return refusal
}

// verdict is the reply to what was judged, nil when it goes on. Who is dropped
// is not heard again.
func (s *session) verdict(v policy.Verdict) *Reply {
	if v.Action < policy.Defer {
		return nil
	}
	if v.Action == policy.Drop {
		s.conn.hangUp()
	}
	return &v.Reply
}

// newID names a session in logs and trace fields: 13 characters, 64 bits.
func newID() string {
	var b [8]byte
	rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

// reset forgets the transaction.
func (s *session) reset() {
	if s.chunks != nil {
		s.chunks.Close()
		s.chunks = nil
	}
	s.tx = nil
	s.conn.messageEnds()
}

// end ends the session.
func (s *session) end() {
	s.reset()
	s.judge.OnEnd()
	s.cancel()
}

// mail is MAIL: it begins a transaction.
func (s *session) mail(arg string) Reply {
	switch {
	case s.tx != nil:
		return say(503, enhanced{5, 5, 1}, "A sender is given already; use RSET to start again")
	case s.mode == Relay:
		if refusal := s.relaying(); refusal != nil {
			return *refusal
		}
	case s.mode != MX && s.user == nil:
		return say(530, enhanced{5, 7, 0}, "Sign in first")
	}
	path, text, err := cutPath(arg, "FROM:")
	if err != nil {
		return say(501, enhanced{5, 1, 7}, "Bad sender address: "+reason(err))
	}
	params, refusal := parseParams(mailParameters, text)
	if refusal != nil {
		return *refusal
	}
	if most := s.server.o.Deliver.MaxSize(); params.size > most {
		return say(552, enhanced{5, 3, 4}, fmt.Sprintf("The message is too large: at most %d bytes", most))
	}
	at, refusal := s.scheduled(&params)
	if refusal != nil {
		return *refusal
	}
	tx := &transaction{params: params, scheduled: at}
	sender := policy.Sender{User: s.user}
	if s.grant != nil {
		sender.Relay = s.grant.May
	}
	if path != "" {
		addr, err := parseAddress(path, params.utf8)
		if err != nil {
			return say(553, enhanced{5, 1, 7}, "Bad sender address: "+reason(err))
		}
		sender.Address, tx.from = addr, addr.String()
	}
	if refusal := s.verdict(s.judge.OnMail(s.ctx, sender)); refusal != nil {
		return *refusal
	}
	s.tx = tx
	return say(250, enhanced{2, 1, 0}, "Sender OK")
}

// rcpt is RCPT: it adds a recipient.
func (s *session) rcpt(arg string) Reply {
	tx, most := s.tx, s.server.o.recipients()
	switch {
	case tx == nil:
		return say(503, enhanced{5, 5, 1}, "Give the sender first")
	case s.chunks != nil:
		return say(503, enhanced{5, 5, 1}, "Not between the chunks of a message")
	case tx.count() >= most:
		return say(452, enhanced{4, 5, 3}, fmt.Sprintf("A message has at most %d recipients; send it to the others once more", most))
	}
	path, text, err := cutPath(arg, "TO:")
	if err != nil {
		return say(501, enhanced{5, 1, 3}, "Bad recipient address: "+reason(err))
	}
	params, refusal := parseParams(rcptParameters, text)
	if refusal != nil {
		return *refusal
	}
	addr, err := s.recipient(path)
	if errors.Is(err, delivery.ErrNoPostmaster) {
		return *s.routed(delivery.Route{}, err)
	}
	if err != nil {
		return say(501, enhanced{5, 1, 3}, "Bad recipient address: "+reason(err))
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.server.o.Limits.Lookup)
	defer cancel()
	route, err := s.server.o.Router.Route(s.asking(ctx), addr)
	refusal = s.routed(route, err)
	if err == nil {
		// Also where no road of ours goes: that mail may not be sent there
		// counts for more than that it cannot.
		if r := s.verdict(s.judge.OnRecipient(ctx, recipientOf(route, addr))); r != nil {
			refusal = r
		}
	}
	if refusal == nil && s.mode == Relay && s.grant == nil {
		refusal = noGrant() // whatever judged otherwise
	}
	if refusal == nil && s.grant != nil && !s.grant.Take() {
		refusal = overRate(s.grant)
	}
	if refusal == nil {
		refusal = s.add(ctx, route, params)
	}
	switch {
	case refusal == nil:
		return say(250, enhanced{2, 1, 5}, "Recipient OK")
	case refusal.Code == 550, errors.Is(err, directory.ErrOverBudget):
		return s.refuseUnknown(*refusal)
	}
	return *refusal
}

// asking is a context in which the directory looks up for this client, within
// the client's budget.
func (s *session) asking(ctx context.Context) context.Context {
	return directory.ForClient(ctx, listen.Client(s.conn.socket.RemoteAddr()))
}

// recipient reads the path of RCPT: Postmaster stands without a domain too (RFC
// 5321 4.1.1.3); delivery.ErrNoPostmaster where that is nobody.
func (s *session) recipient(path string) (rookery.Address, error) {
	if !strings.EqualFold(path, "postmaster") {
		return parseAddress(path, s.tx.params.utf8)
	}
	p := s.server.o.Postmaster()
	if p == (rookery.Address{}) {
		return p, delivery.ErrNoPostmaster
	}
	return p, nil
}

// routed answers for a recipient that mail cannot be brought to.
func (s *session) routed(r delivery.Route, err error) *Reply {
	switch {
	case rookery.Is(err, rookery.KindNotFound):
		r := answer(err)
		return &r
	case errors.Is(err, directory.ErrOverBudget):
		return refuse(451, enhanced{4, 7, 0}, "Too many unknown recipients; try again later")
	case errors.Is(err, delivery.ErrNoPostmaster):
		s.cause = err
		return refuse(450, enhanced{4, 3, 5}, "Nobody gets mail for postmaster and abuse here yet; try again later")
	case errors.Is(err, delivery.ErrListTooLarge):
		s.cause = err
		return refuse(452, enhanced{4, 5, 3}, "The list has more members than are sent to at once")
	case errors.Is(err, delivery.ErrDirectory):
		s.cause = err
		r := lookup(err)
		return &r
	case err != nil:
		s.cause = err
		r := doubt(err)
		return &r
	}
	switch {
	case r.To == delivery.Forward && r.Forward == nil:
		return refuse(451, enhanced{4, 3, 5}, "The mailbox is forwarded, and the directory does not say where to")
	case r.To == delivery.Bounce && s.tx.from != "":
		return refuse(550, enhanced{5, 7, 1}, "The address takes bounces only, which have the null sender")
	}
	return nil
}

// add adds a recipient to the transaction, if the message can be taken for it.
func (s *session) add(ctx context.Context, r delivery.Route, p rcptParams) *Reply {
	if r.Forward != nil {
		return s.forward(ctx, r, p)
	}
	tx := s.tx
	if r.To != delivery.Local || !tx.scheduled.IsZero() {
		if refusal := s.sending(ctx); refusal != nil {
			return refusal
		}
	}
	if r.To == delivery.Local {
		refusal := s.room(ctx, r, tx.params.size)
		if refusal == nil {
			tx.recipients = append(tx.recipients, delivery.Recipient{Address: r.Address, Account: r.Account})
		}
		return refusal
	}
	tx.remote = append(tx.remote, delivery.RemoteRecipient{Address: r.Address, NextHop: r.Host, Notify: p.notify, Original: p.original})
	return nil
}

// sending finds the account of who has signed in.
func (s *session) sending(ctx context.Context) *Reply {
	if s.user == nil || s.tx.sender != (rookery.AccountID{}) {
		return nil
	}
	id, err := s.server.o.Router.Account(ctx, *s.user)
	if err != nil {
		s.cause = err
		refusal := doubt(err)
		return &refusal
	}
	s.tx.sender = id
	return nil
}

// room answers for an account that cannot take a message of the announced size.
func (s *session) room(ctx context.Context, r delivery.Route, size int64) *Reply {
	err := s.server.o.Deliver.Check(ctx, r.Account, size)
	if err == nil {
		return nil
	}
	s.cause = err
	refusal := doubt(err)
	return &refusal
}

// refuseUnknown counts refused recipients: who guesses addresses is sent away.
func (s *session) refuseUnknown(refusal Reply) Reply {
	s.unknown++
	if s.unknown < s.server.o.Limits.Unknown {
		return refusal
	}
	s.conn.hangUp()
	return say(421, enhanced{4, 7, 0}, "Too many unknown recipients, closing the connection")
}

// parseAddress reads an address whose local part is unquoted.
func parseAddress(s string, utf8 bool) (rookery.Address, error) {
	for i := 0; i < len(s) && !utf8; i++ {
		if s[i] >= 0x80 {
			return rookery.Address{}, errors.New("it is not ASCII and SMTPUTF8 was not given with MAIL")
		}
	}
	return rookery.UnquotedAddress(s)
}
