package outbound

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"io"
	"strings"
	"time"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/delivery/spool"
	"rookery/protocols/outbound/dsn"
	"rookery/storage/command"
	"rookery/storage/queue"
)

// succeeds says that the sender is to be told of success, and by us.
func (r *result) succeeds() bool {
	a, ours := dsn.OfSuccess(false, r.knows)
	return ours && dsn.ParseNotify(r.l.to.Notify).Wants(a)
}

// late says that the sender is to be told of the delay now.
func (r *result) late(age, notice time.Duration) bool {
	return r.l.key != nil && notice > 0 && age >= notice && !r.l.row.Late && dsn.ParseNotify(r.l.to.Notify).Wants(dsn.Delayed)
}

// notify tells the sender of rows of one item what became of them. The log takes
// the notification together with the end of the rows, or, of a delay, with the
// mark that it was told: it is told once. Where nobody is to be told, or nobody can
// be, the rows' ends are given, to be recorded.
func (c *Couriers) notify(ctx context.Context, p parcel, rows []result, delay bool) []command.AttemptEnd {
	var wanted []result
	var ends []command.AttemptEnd
	m, err := c.open(ctx, p.group, rows[0].l)
	if err != nil {
		return c.later(rows, err, delay)
	}
	defer m.close()
	for _, r := range rows {
		action := action(r, delay)
		if m.envelope.From != "" && dsn.ParseNotify(r.l.to.Notify).Wants(action) {
			wanted = append(wanted, r)
		} else if !delay {
			ends = append(ends, command.AttemptEnd{Row: r.l.Ref, Done: true, Last: r.sealed()})
		}
	}
	if len(wanted) == 0 {
		return ends
	}
	err = c.file(ctx, p, m, wanted, delay)
	switch {
	case err == nil, rookery.Is(err, rookery.KindConflict) && c.toldBefore(ctx, p, wanted, delay):
		c.pending.forgetRows(p.group, wanted, delay)
		return ends
	case rookery.Is(err, rookery.KindDenied), rookery.Is(err, rookery.KindNotFound), rookery.Is(err, rookery.KindInvalid):
		c.o.Logger.Error("outbound: the sender of a message cannot be told what became of it", "group", p.group, "item", itemID(p.item),
			"from", m.envelope.From, "error", err)
		if delay {
			return nil
		}
		for _, r := range wanted {
			ends = append(ends, command.AttemptEnd{Row: r.l.Ref, Done: true, Last: r.sealed()})
		}
		return ends
	}
	return append(ends, c.later(wanted, err, delay)...)
}

// toldBefore reports whether the sender was told of one of the rows: a conflict may
// have another reason, such as a key of a day that is gone. Where this replica does
// not know yet, the rows are tried again, and found to have ended.
func (c *Couriers) toldBefore(ctx context.Context, p parcel, rows []result, delay bool) bool {
	for _, r := range rows {
		l, err := c.load(ctx, p.group, r.l.Ref)
		if rookery.Is(err, rookery.KindNotFound) || err == nil && delay && l.row.Late {
			return true
		}
	}
	return false
}

// later has the sender told at another attempt: the message is not lost, and the
// peer's word is asked for once more.
func (c *Couriers) later(rows []result, err error, delay bool) (ends []command.AttemptEnd) {
	c.o.Logger.Warn("outbound: a sender is not told yet what became of a message; trying again", "item", itemID(rows[0].l.Item), "error", err)
	if delay {
		return nil
	}
	for _, r := range rows {
		end := command.AttemptEnd{Row: r.l.Ref, Again: int64(time.Minute)}
		if r.sent {
			end.Done = true // not sent twice for the sake of a notification
		}
		end.Last = r.sealed()
		ends = append(ends, end)
	}
	return ends
}

func action(r result, delay bool) dsn.Action {
	switch {
	case delay:
		return dsn.Delayed
	case r.sent:
		return dsn.Relayed
	}
	return dsn.Failed
}

// file composes a notification and has it accepted. KindConflict: the sender was
// told before, or something else keeps it from being accepted now (see toldBefore).
func (c *Couriers) file(ctx context.Context, p parcel, m *text, rows []result, delay bool) error {
	sender, err := rookery.ParseAddress(m.envelope.From)
	if err != nil {
		return rookery.E("notify sender", rookery.KindInvalid, err)
	}
	if sender, err = c.today(ctx, &rows[0].l.header, sender); err != nil {
		return err
	}
	req := delivery.Request{Group: p.group, Tells: &command.Tells{Delay: delay}}
	for _, r := range rows {
		req.Tells.Rows = append(req.Tells.Rows, r.l.Ref)
		req.Tells.Last = append(req.Tells.Last, r.sealed())
	}
	if err := c.address(ctx, sender, &req); err != nil {
		return err
	}
	b, err := c.compose(m, sender, len(req.Recipients) > 0, rows, delay)
	if err != nil {
		return err
	}
	req.Spool = c.o.Filer.Spool(spool.Normalise, maxNotification)
	defer req.Spool.Close()
	if _, err := req.Spool.Write(b); err != nil {
		return err
	}
	if err := req.Spool.Finish(); err != nil {
		return err
	}
	req.ID = notificationID(req.Tells)
	req.UTF8 = m.envelope.UTF8
	req.Trace = []byte("Return-Path: <>\r\n")
	return c.o.Filer.Deliver(ctx, req)
}

// maxNotification bounds a notification in bytes.
const maxNotification = 4 << 20

// today is where the sender of an item gets mail by now: the account that sent it
// decides, while there is one, not the address that it had then.
func (c *Couriers) today(ctx context.Context, h *queue.Header, was rookery.Address) (rookery.Address, error) {
	if c.o.Senders == nil || h.Account == (rookery.AccountID{}) {
		return was, nil
	}
	a, err := c.o.Senders.Address(ctx, h.Account, was)
	if rookery.Is(err, rookery.KindNotFound) {
		return was, nil
	}
	return a, err
}

// address finds where a sender gets mail.
func (c *Couriers) address(ctx context.Context, sender rookery.Address, req *delivery.Request) error {
	route, err := c.o.Router.Route(ctx, sender)
	if err != nil {
		return err
	}
	all, err := delivery.Expand(ctx, c.o.Router, route)
	for _, x := range all {
		if x.To == delivery.Local {
			req.Recipients = append(req.Recipients, delivery.Recipient{Address: x.Address, Account: x.Account})
		} else {
			req.Remote = append(req.Remote, delivery.RemoteRecipient{Address: x.Address, NextHop: x.Host, Notify: []string{"NEVER"}})
		}
	}
	return err
}

// notificationID is the same whenever the same rows are told of.
func notificationID(t *command.Tells) string {
	h := sha256.New()
	for _, x := range t.Rows {
		fmt.Fprintf(h, "%x %d\n", x.Item, x.N)
	}
	fmt.Fprintf(h, "delay %t", t.Delay)
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)[:10]))
}

func (c *Couriers) compose(m *text, sender rookery.Address, ours bool, rows []result, delay bool) ([]byte, error) {
	set := c.o.Settings()
	h := &rows[0].l.header
	r := dsn.Report{
		MTA: c.o.Hostname, From: c.postmaster(sender, ours), Date: c.o.Clock(), UTF8: m.envelope.UTF8,
		Envelope: dsn.Envelope{Sender: sender, ID: m.envelope.EnvelopeID, Returns: dsn.ParseReturn(m.envelope.Return)},
		Original: dsn.Original{Size: m.Form.Size, Arrival: time.Unix(0, h.Time)},
	}
	tells := &command.Tells{Delay: delay}
	for _, x := range rows {
		tells.Rows = append(tells.Rows, x.l.Ref)
		to := dsn.Recipient{
			Final: x.l.address, Original: x.l.to.Original, Action: action(x, delay), Status: x.heard.Status, TLS: x.heard.TLS,
			LastAttempt: time.Unix(0, x.heard.Time),
		}
		if x.heard.Code > 0 {
			to.RemoteMTA = x.heard.Host
			to.Reply = fmt.Sprintf("%d %s", x.heard.Code, x.heard.Text)
		} else {
			to.Reason = x.heard.Text
		}
		if delay {
			to.WillRetryUntil = x.since().Add(set.schedule(x.l.address).Expire)
		}
		r.Recipients = append(r.Recipients, to)
	}
	r.MessageID = notificationID(tells) + "@" + c.o.Hostname
	text, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer text.Close()
	if r.Original.Bytes, err = io.ReadAll(io.LimitReader(text, dsn.MaxWhole)); err != nil {
		return nil, err
	}
	return dsn.Compose(r)
}

// postmaster is the address that notifications come from: that of the sender's
// domain, where it is one of ours.
func (c *Couriers) postmaster(sender rookery.Address, ours bool) rookery.Address {
	if ours {
		return rookery.Address{Local: "postmaster", Domain: sender.Domain}
	}
	if c.o.Postmaster != nil {
		if a := c.o.Postmaster(); a != (rookery.Address{}) {
			return a
		}
	}
	return rookery.Address{Local: "postmaster", Domain: c.o.Hostname}
}
