package delivery

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rookery"
	"rookery/protocols/delivery/spool"
	"rookery/protocols/listen"
	"rookery/storage/account"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
	"rookery/storage/message"
)

// MaxRecipients bounds the accounts of one message: they travel in one entry. With few thread tokens each,
// all of them fit one entry of about a quarter of a megabyte.
const MaxRecipients = command.MaxDeliveries

var errTooMany = fmt.Errorf("the message has more than %d recipients", MaxRecipients)

// fewTokens is how many thread tokens a delivery carries when a message has
// more than fewAccounts recipients.
const (
	fewTokens   = 8
	fewAccounts = 50
)

// recipient is one account that gets the message.
type recipient struct {
	account *account.Account
	key     *keys.AccountKey
	address string
}

// Deliver has a message judged, files it for all its recipients, and returns nil
// when a quorum has it. A message that is not to be filed gives *policy.Refusal; one that is
// judged to be junk goes to the account's mailbox of
// the role \Junk. Recipients in further groups get theirs shortly after, through
// a durable item of the queue committed with the message.
//
// KindOverQuota comes back only when no recipient has room. A message for
// several recipients of whom some have become full since RCPT is filed for all,
// beyond their quota: SMTP has one reply for all of them, and neither losing a
// copy nor sending the others a second one is right. KindUnavailable and
// KindUnknown are temporary; KindLimit is too many recipients.
func (d *Deliverer) Deliver(ctx context.Context, r Request) error {
	began := time.Now()
	err := d.deliver(ctx, r, began)
	d.observe("smtp", err, r.Spool.Size(), began)
	return err
}

// Room says why no new message is taken for now: the disk is nearly full, so
// senders come back and what is being read goes on. KindLimit.
func (d *Deliverer) Room() error {
	if d.o.Room == nil {
		return nil
	}
	return d.o.Room()
}

func (d *Deliverer) observe(road string, err error, size int64, began time.Time) {
	if d.o.Observe != nil {
		d.o.Observe(road, err, size, time.Since(began))
	}
}

func (d *Deliverer) deliver(ctx context.Context, r Request, began time.Time) error {
	if err := d.Room(); err != nil {
		return err
	}
	head, role, err := d.judge(ctx, r)
	if err != nil {
		return err
	}
	r.Trace = head
	done, err := d.finish(ctx, &r)
	defer done()
	if err != nil {
		return err
	}
	var cmd *command.Deliver
	var index rookery.LogIndex
	var groups []groupOf
	var messageID string
	err = d.o.Accounts.Patiently(ctx, func() (err error) {
		if groups, err = d.open(ctx, r); err != nil {
			return err
		}
		send, err := d.outgoing(ctx, groups[0].group, &r)
		if err != nil {
			return err
		}
		m := incoming{head: r.Trace, spool: r.Spool}
		defer func() { messageID = m.messageID }()
		var res *command.DeliverResult
		to := d.traced(ctx, address(groups, role, len(r.Recipients) > fewAccounts, send), groups[0].group, &r, role)
		cmd, res, index, err = d.file(ctx, groups[0].group, &m, to, reached)
		if err == nil {
			d.missed(cmd, res)
			d.unusual(r, res)
		}
		return err
	})
	if err != nil {
		return err
	}
	d.o.Logger.Info("message accepted", "protocol", "smtp", "session", r.Session, "id", r.ID, "from", listen.ForLog(r.From), "to",
		toForLog(r),
		"message_id", listen.ForLog(messageID), "role", role, "size", cmd.Size, "group", groups[0].group, "body", index, "email",
		cmd.Email, "groups", len(groups),
		"ms", time.Since(began).Milliseconds())
	return nil
}

// toForLog names the recipients of a message, the first twenty by their
// addresses.
func toForLog(r Request) string {
	all := make([]rookery.Address, 0, len(r.Recipients)+len(r.Remote))
	for _, x := range r.Recipients {
		all = append(all, x.Address)
	}
	for _, x := range r.Remote {
		all = append(all, x.Address)
	}
	var names []string
	for _, a := range all[:min(len(all), 20)] {
		names = append(names, listen.ForLog(a.String()))
	}
	if more := len(all) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// groupOf is the recipients in one Raft group.
type groupOf struct {
	group      rookery.GroupID
	recipients []recipient
}

// open finds the accounts, each once however many addresses name it, by group:
// a group with a replica here first, else the first recipient's.
func (d *Deliverer) open(ctx context.Context, r Request) ([]groupOf, error) {
	var groups []groupOf
	at := make(map[rookery.GroupID]int)
	seen := make(map[rookery.AccountID]bool, len(r.Recipients))
	size := r.Spool.Size() + int64(len(r.Trace))
	var full error
	rooms := 0
	for _, rcpt := range r.Recipients {
		if seen[rcpt.Account] {
			continue
		}
		if seen[rcpt.Account] = true; len(seen) > MaxRecipients {
			return nil, rookery.E("deliver", rookery.KindLimit, errTooMany)
		}
		a, err := d.o.Accounts.Open(ctx, rcpt.Account)
		if err != nil {
			return nil, rookery.E("deliver", rookery.KindUnknown, err)
		}
		key, err := a.Key(ctx)
		if err != nil {
			return nil, rookery.E("deliver", rookery.KindUnknown, err)
		}
		if err := room(ctx, a, size); err != nil {
			full = err
		} else {
			rooms++
		}
		i, ok := at[a.Group()]
		if !ok {
			i = len(groups)
			at[a.Group()] = i
			groups = append(groups, groupOf{group: a.Group()})
		}
		groups[i].recipients = append(groups[i].recipients, recipient{a, key, rcpt.Address.String()})
	}
	if rooms == 0 && full != nil && len(r.Remote) == 0 {
		return nil, full
	}
	// A group that lives here comes first: its leader is nearer.
	slices.SortStableFunc(groups, func(a, b groupOf) int { return cmp.Compare(d.distance(a.group), d.distance(b.group)) })
	home, err := d.home(ctx, &r, groups)
	if err != nil {
		return nil, err
	}
	groups = homeFirst(groups, home)
	if len(groups) == 0 {
		return nil, rookery.E("deliver", rookery.KindInvalid, errors.New("the message has no recipients"))
	}
	return groups, nil
}

func (d *Deliverer) distance(id rookery.GroupID) int {
	if d.o.Machine(id) == nil {
		return 1
	}
	return 0
}

// address names the recipients in a command: those of the first group as
// deliveries, the others as an item of its queue. The message goes to the
// mailbox of the role in each account; "" is INBOX. send is who gets it in other
// systems.
func address(groups []groupOf, role string, few bool, send *outgoing) addressing {
	return func(cmd *command.Deliver, key keys.MessageKey, x *message.Extract) {
		several := len(groups) > 1 || len(groups[0].recipients) > 1 || send.remote() || send.r.Tells != nil
		cmd.Tells = send.r.Tells
		owed := groups[1:]
		if send.scheduled() {
			owed, several = groups, true
		} else {
			cmd.Deliveries = deliveries(groups[0], cmd.Email, key, x, role, several, few)
		}
		if len(owed) == 0 && !send.remote() {
			return
		}
		item := &command.Item{Kind: command.Message}
		if cmd.Tells != nil {
			item.Kind = command.Notification
		}
		rand.Read(item.ID[:])
		send.add(item, cmd.Email, key, x)
		for _, g := range owed {
			if len(g.recipients) > 0 {
				item.Rows = append(item.Rows, command.ItemRow{Kind: command.ToGroup, Group: g.group,
					Deliveries: deliveries(g, cmd.Email, key, x, role, several, few), Recipient: send.first(item, g)})
			}
		}
		cmd.Item = item
	}
}

// deliveries are the deliveries to the accounts of one group.
func deliveries(g groupOf, id rookery.EmailID, key keys.MessageKey, x *message.Extract, role string, several, few bool) []command.Delivery {
	out := make([]command.Delivery, len(g.recipients))
	for i, r := range g.recipients {
		tokens := threads(x, r.key, few)
		out[i] = command.Delivery{Account: r.account.ID(), Role: role, WrappedKey: r.key.WrapMessage(id, key), Threads: tokens, NoQuota: several}
	}
	return out
}

// threads are a message's thread tokens, as many as count: the oldest, which
// names the conversation, and the last, which name the messages answered and
// the message itself.
func threads(x *message.Extract, key *keys.AccountKey, few bool) [][8]byte {
	most := mailbox.MaxTokens
	if few {
		most = fewTokens
	}
	tokens := body.ThreadTokens(x, key)
	if cut := len(tokens) - most; cut > 0 {
		tokens = append(tokens[:1], tokens[1+cut:]...)
	}
	return tokens
}

// reached reports a message that nobody got.
func reached(cmd *command.Deliver, r *command.DeliverResult) error {
	if r.Again != 0 {
		return rookery.E("deliver", rookery.KindLimit, &RateError{Again: time.Unix(0, r.Again)})
	}
	if cmd.Item != nil || cmd.FromItem != nil || cmd.Tells != nil {
		return nil
	}
	var failed error
	for _, f := range r.Filed {
		if f.OK {
			return nil
		}
		if failed == nil || !rookery.Is(f.Err(), rookery.KindOverQuota) {
			failed = f.Err()
		}
	}
	return failed
}

// missed logs recipients who did not get a message that was accepted: their
// account was erased meanwhile, mostly.
func (d *Deliverer) missed(cmd *command.Deliver, r *command.DeliverResult) {
	for i, f := range r.Filed {
		if !f.OK && i < len(cmd.Deliveries) {
			d.o.Logger.Error("delivery: a recipient did not get an accepted message", "account", cmd.Deliveries[i].Account,
				"email", cmd.Email, "error", f.Err())
		}
	}
}

// Append files a message in one mailbox, with flags, keywords and internal date
// (the zero time is now), as IMAP APPEND wants: KindNotFound when the mailbox
// does not exist, KindOverQuota when it is full. An appended message is always
// filed, however many like it exist. It returns when this node shows it.
func (d *Deliverer) Append(ctx context.Context, a *account.Account, into rookery.MailboxID,
	flags command.Flags, keywords []string, date time.Time, spool *spool.Spool) (Filed, error) {
	began := time.Now()
	f, err := d.append(ctx, a, into, flags, keywords, date, spool)
	d.observe("append", err, spool.Size(), began)
	return f, err
}

func (d *Deliverer) append(ctx context.Context, a *account.Account, into rookery.MailboxID,
	flags command.Flags, keywords []string, date time.Time, spool *spool.Spool) (Filed, error) {
	var filed Filed
	if err := d.Room(); err != nil {
		return filed, err
	}
	err := d.o.Accounts.Patiently(ctx, func() (err error) {
		filed, err = d.appendThere(ctx, a, into, flags, keywords, date, spool)
		return err
	})
	return filed, err
}

// appendThere files the message where the account is as far as is known here.
func (d *Deliverer) appendThere(ctx context.Context, a *account.Account, into rookery.MailboxID,
	flags command.Flags, keywords []string, date time.Time, spool *spool.Spool) (Filed, error) {
	key, err := a.Key(ctx)
	if err != nil {
		return Filed{}, rookery.E("append", rookery.KindUnknown, err)
	}
	m := incoming{spool: spool}
	group := d.groupOf(ctx, a)
	cmd, r, index, err := d.file(ctx, group, &m, func(cmd *command.Deliver, mk keys.MessageKey, x *message.Extract) {
		cmd.Deliveries = []command.Delivery{{
			Account: a.ID(), Mailbox: into, Flags: flags, Keywords: keywords, InternalDate: unix(date),
			WrappedKey: key.WrapMessage(cmd.Email, mk), Threads: threads(x, key, false), Strict: true,
		}}
	}, reached)
	if err != nil {
		return Filed{}, err
	}
	if len(r.Filed) != 1 {
		return Filed{}, rookery.E("append", rookery.KindDamaged, fmt.Errorf("one delivery has %d results", len(r.Filed)))
	}
	// Committed: what Wait says changes nothing about that.
	d.o.Log.Wait(ctx, group, index)
	f := r.Filed[0]
	return Filed{UIDValidity: f.UIDValidity, UID: f.UID, ModSeq: f.ModSeq, Email: cmd.Email}, nil
}

// unix is a date for a command, where 0 means now.
func unix(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Unix() == 0:
		return 1
	}
	return t.Unix()
}
