package outbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"rookery"
	"rookery/protocols/outbound/dsn"
	"rookery/protocols/outbound/session"
	"rookery/protocols/outbound/tlspolicy"
	"rookery/storage/body"
	"rookery/storage/keys"
	"rookery/storage/queue"
)

// deliver tries one parcel, and says what became of each of its rows.
func (w *worker) deliver(ctx context.Context, p parcel) []result {
	c := w.c
	first, err := c.load(ctx, p.group, p.refs()[0])
	if err != nil {
		return c.each(ctx, p, result{again: true, heard: c.local(err)})
	}
	if err := w.connect(ctx); err != nil {
		return c.each(ctx, p, w.unreachable(ctx, err))
	}
	m, err := c.open(ctx, p.group, first)
	if err != nil {
		return c.each(ctx, p, result{again: true, heard: c.local(err)})
	}
	defer m.close()
	rows := c.each(ctx, p, result{})
	e, rows, broken := envelope(first, m.envelope, rows)
	if len(rows) == 0 {
		return broken
	}
	statuses, err := w.s.Send(ctx, e, m.Message, func(ctx context.Context) error { return c.stillOurs(ctx, p) })
	set := c.o.Settings()
	for i := range rows {
		if err != nil {
			rows[i] = w.notSent(rows[i], err)
		} else {
			rows[i] = w.judge(ctx, rows[i], statuses[i])
		}
	}
	c.pending.reached(w.d, true, c.o.Clock(), queue.Heard{})
	c.pending.paced(w.d, err == nil && well(statuses), set.Connections)
	if !w.s.Usable() {
		w.s.Close()
		w.s = nil
	}
	return append(rows, broken...)
}

// well says that the peer did not have enough of us.
func well(all []session.Status) bool {
	for _, s := range all {
		if s.Outcome == session.Lost || s.Reply.Code == 421 || s.Reply.Code == 450 && s.Stage <= session.AtMail {
			return false
		}
	}
	return true
}

// connect makes sure of a connection on which a message may be sent: to the hop as
// it is now, under the policy as it is now.
func (w *worker) connect(ctx context.Context) (err error) {
	if w.s != nil && w.s.Usable() && w.reached.same(w.hop) && w.s.Fits(ctx) {
		return nil
	}
	w.hangUp(ctx)
	w.s, err = w.c.o.Connect.Open(ctx, w.hop)
	w.reached = w.hop
	return err
}

// unreachable is the result where no session came about. Nobody's message ends
// by what a host says before MAIL: it may be the wrong host, or we (RFC 5321
// 4.5.4.1 would let it). A domain that takes no mail, or is not there, ends it.
func (w *worker) unreachable(ctx context.Context, err error) result {
	c := w.c
	h := c.heard(err)
	var at *HostError
	var verdict tlspolicy.Verdict
	if errors.As(err, &at) {
		verdict = at.TLS
	}
	if ctx.Err() != nil {
		return result{untried: true, heard: h}
	}
	gone := (rookery.Is(err, rookery.KindNotFound) || rookery.Is(err, rookery.KindDenied)) && h.Code == 0
	if gone && !w.hop.Configured {
		if h.Status == "" {
			h.Status = "5.1.2"
		}
		return result{heard: h, tls: verdict}
	}
	h.Local = h.Local || w.hop.Configured
	c.pending.reached(w.d, false, c.o.Clock(), h)
	return result{again: true, heard: h, tls: verdict}
}

// heard is what an error of a session says.
func (c *Couriers) heard(err error) queue.Heard {
	h := queue.Heard{Time: c.o.Clock().UnixNano(), Text: err.Error()}
	var failed *session.Error
	if errors.As(err, &failed) {
		h.Stage = failed.Stage.String()
		fromReply(&h, failed.Reply)
	}
	var at *HostError
	if errors.As(err, &at) {
		h.Host, h.Address, h.TLS = at.Peer.Name, at.Peer.Addr.String(), at.TLS.String()
		if at.TLS.Failed && h.Code == 0 {
			h.Status = failedTLS
		}
	}
	return h
}

// failedTLS is the status where TLS is why nothing was sent (RFC 3463 3.8).
const failedTLS = "4.7.5"

func fromReply(h *queue.Heard, r session.Reply) {
	if r.Code == 0 {
		return
	}
	h.Code, h.Text = r.Code, r.Text
	if r.Enhanced[0] != 0 {
		h.Status = fmt.Sprintf("%d.%d.%d", r.Enhanced[0], r.Enhanced[1], r.Enhanced[2])
	}
}

// on adds to a result from whom it was, and how the connection was protected.
func (w *worker) on(r result) result {
	if w.s != nil {
		r.tls = w.s.TLS
		r.heard.Host, r.heard.Address, r.heard.TLS = w.s.Peer().Name, w.s.Peer().Addr.String(), r.tls.String()
	}
	return r
}

// notSent is the result where the message cannot be sent as it is, or the session
// was over before it began.
func (w *worker) notSent(r result, err error) result {
	r.heard = w.c.heard(err)
	r = w.on(r)
	switch {
	case errors.Is(err, session.ErrUTF8):
		r.heard.Status = "5.6.7" // RFC 6531 3.5
	case errors.Is(err, session.ErrTooLarge):
		r.heard.Status = "5.3.4"
	case errors.Is(err, session.ErrEightBit):
		r.heard.Status = "5.6.3"
	case rookery.Is(err, rookery.KindInvalid):
		r.heard.Status = "5.6.0"
	default:
		r.again = true
	}
	return r
}

// judge says what a status means for a row.
func (w *worker) judge(ctx context.Context, r result, s session.Status) result {
	r.heard = queue.Heard{Time: w.c.o.Clock().UnixNano(), Stage: s.Stage.String()}
	fromReply(&r.heard, s.Reply)
	if s.Err != nil && r.heard.Code == 0 {
		r.heard.Text = s.Err.Error()
	}
	r = w.on(r)
	_, r.knows = w.s.Offers("DSN")
	switch {
	case s.Outcome == session.Accepted:
		r.sent = true
	case s.Outcome == session.Unsendable:
		r = w.notSent(r, s.Err)
	case s.Outcome == session.Lost && !s.Doubtful() && ctx.Err() != nil,
		s.Outcome == session.Lost && rookery.Is(s.Err, rookery.KindConflict):
		r.untried = true
	case s.Permanent() && w.hop.Configured && s.Stage <= session.AtMail:
		// A wrong next hop, or a wrong password for it, is no word on the message.
		r.again, r.heard.Local = true, true
	default:
		r.again = !s.Permanent()
	}
	return r
}

// text is a message that is to be sent.
type text struct {
	session.Message
	envelope queue.Envelope
	close    func()
}

// inMemory is the size up to which a message is read once.
const inMemory = 256 << 10

// open reads the message of a row, without the field that says where it would
// have come from: the last hop writes it (RFC 5321 4.4).
func (c *Couriers) open(ctx context.Context, group rookery.GroupID, l loaded) (*text, error) {
	t := &text{close: func() {}}
	var err error
	if t.envelope, err = queue.OpenEnvelope(l.key, l.Item, l.header.Envelope); err != nil {
		return nil, err
	}
	r, start, err := c.message(ctx, group, l)
	if err != nil {
		return nil, err
	}
	t.close = r.Close
	size := r.Size() - start
	whole := func() io.Reader { return io.NewSectionReader(at{ctx, r}, start, size) }
	if size <= inMemory {
		b, err := io.ReadAll(whole())
		if err != nil {
			r.Close()
			return nil, err
		}
		whole = func() io.Reader { return bytes.NewReader(b) }
	}
	if t.Form, err = session.Inspect(whole()); err != nil {
		r.Close()
		return nil, err
	}
	t.Open = func() (io.ReadCloser, error) { return io.NopCloser(whole()), nil }
	return t, nil
}

// message reads the message of a row, which is sent from start on. The caller
// closes it.
func (c *Couriers) message(ctx context.Context, group rookery.GroupID, l loaded) (r *body.Reader, start int64, err error) {
	key, err := l.key.UnwrapMessage(l.header.Email, l.header.Key)
	if err != nil {
		return nil, 0, err
	}
	if r, err = c.reader(group, l, key); err != nil {
		return nil, 0, err
	}
	if start, err = returnPath(ctx, r); err != nil {
		r.Close()
		return nil, 0, err
	}
	return r, start, nil
}

func (c *Couriers) reader(group rookery.GroupID, l loaded, key keys.MessageKey) (*body.Reader, error) {
	m := c.o.Machine(group)
	if m == nil {
		return nil, rookery.E("read message", rookery.KindUnavailable, errLeft)
	}
	o, err := m.Owed(l.Ref)
	if err != nil {
		return nil, err
	}
	var layout body.Layout
	if err := layout.UnmarshalBinary(o.Body.Layout); err != nil {
		return nil, err
	}
	return body.NewReader(layout, key, c.o.Bodies(group, o.Body)), nil
}

// at reads a body at offsets.
type at struct {
	ctx context.Context
	r   *body.Reader
}

func (a at) ReadAt(p []byte, off int64) (int, error) { return a.r.ReadAt(a.ctx, p, off) }

// returnPath is the length of a Return-Path field at the beginning.
func returnPath(ctx context.Context, r *body.Reader) (int64, error) {
	name := []byte("Return-Path:")
	b := make([]byte, min(r.Size(), 2<<10))
	n, err := r.ReadAt(ctx, b, 0)
	if err != nil && err != io.EOF {
		return 0, err
	}
	if b = b[:n]; len(b) < len(name) || !bytes.EqualFold(b[:len(name)], name) {
		return 0, nil
	}
	end := bytes.IndexByte(b, '\n')
	return int64(end + 1), nil
}

// envelope is what is said before a message. Rows whose address cannot be said
// are given back as failed.
func envelope(first loaded, e queue.Envelope, rows []result) (out session.Envelope, good, bad []result) {
	out = session.Envelope{UTF8: e.UTF8, Return: dsn.ParseReturn(e.Return), ID: e.EnvelopeID}
	if first.to.Forwarded {
		e.From = first.to.From
	}
	if e.From != "" {
		from, err := rookery.ParseAddress(e.From)
		if err != nil {
			for i := range rows {
				rows[i].heard.Text, rows[i].heard.Status = "the sender's address is malformed: "+err.Error(), "5.1.7"
			}
			return out, nil, rows
		}
		out.From = from
	}
	for _, r := range rows {
		if r.again || r.l.key == nil {
			bad = append(bad, r)
			continue
		}
		if r.l.to.Forwarded != first.to.Forwarded || r.l.to.From != first.to.From {
			r.untried = true // it has another sender, and so a transaction of its own
			bad = append(bad, r)
			continue
		}
		good = append(good, r)
		out.Recipients = append(out.Recipients, session.Recipient{
			Address: r.l.address, Notify: dsn.ParseNotify(r.l.to.Notify), Original: r.l.to.Original})
	}
	return out, good, bad
}
