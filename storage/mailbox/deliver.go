package mailbox

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/queue"
	"rookery/storage/tables"
	"rookery/storage/trace"
)

var deliveryPart = part{
	Tables: []tables.Table{
		{ID: tableEmail, Name: "content of a message",
			Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.WithAccount, Erased: tables.InTurn,
			Key: tables.Exactly(16), Check: checkEmail, Portable: portable},
		{ID: tableToken, Name: "thread token",
			Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.WithAccount, Erased: tables.AtOnce,
			Key: tables.Exactly(8), Check: checkToken},
	},
	Handlers: handlers{
		tables.On((*work).deliver),
	},
	Follows: []tables.Follow[*work]{{Table: tableEmail, Row: (*work).followEmail}},
}

// maxSize bounds the size a message may claim, so that sums cannot overflow.
const maxSize = 1 << 40

// deliver files one message in the accounts of this group.
func (w *work) deliver(c *command.Deliver) (command.Result, error) {
	if err := checkDeliver(c); err != nil {
		return nil, err
	}
	if w.Replaying() { // the queue is never taken back
		c.Item, c.Tells, c.Trace = nil, nil, nil
	}
	c.Trace = trace.Takes(c.Trace, func(day uint32) bool { return queue.Keyed(w, day) })
	if c.Until > 0 && w.Time() >= c.Until {
		return nil, refuse(rookery.KindUnavailable, "the message was too long on its way to this group; if it is still owed it is sent again")
	}
	if err := w.away(c); err != nil {
		return nil, err
	}
	if c.Item != nil {
		if err := queue.Check(w, c.Item); err != nil {
			return nil, err
		}
	}
	if c.Tells != nil {
		if err := queue.CheckTells(w, c.Tells); err != nil {
			return nil, err
		}
	}
	pieces, err := w.pieces(c)
	if err != nil {
		return nil, err
	}
	sender, again, err := w.sending(c.Item)
	if err != nil || again != 0 {
		return &command.DeliverResult{Again: again}, err
	}
	// Nothing is refused from here on but single deliveries.
	id := BodyID(w.Index())
	result := &command.DeliverResult{Filed: make([]command.Filed, len(c.Deliveries))}
	refs := uint64(0)
	for i := range c.Deliveries {
		var fresh bool
		result.Filed[i], fresh = w.deliverOnce(c, &c.Deliveries[i], id)
		if fresh {
			refs++
		}
	}
	if c.Item != nil {
		result.Unusual = w.sends(c.Item, sender)
		w.enqueue(c, id)
		refs++
	}
	var about rookery.EmailID
	if c.Tells != nil {
		about = queue.Told(w, c.Tells)
	}
	if c.Staged != nil {
		w.takeStage(c.Staged.Stage, refs > 0)
	}
	if refs > 0 {
		result.Body = id
		w.addBody(c, id, refs, w.Time(), pieces)
		if !w.Replaying() {
			trace.Accept(w, c, result.Filed, about)
		}
	}
	return result, nil
}

// away refuses the whole command where one of its accounts is on its way: its
// sender then asks where it is, and files the message there in one piece.
func (w *work) away(c *command.Deliver) error {
	for i := range c.Deliveries {
		if _, err := w.account(c.Deliveries[i].Account); rookery.Is(err, rookery.KindMoved) {
			return err
		}
	}
	return nil
}

func checkDeliver(c *command.Deliver) error {
	n := len(c.Deliveries)
	if c.Item != nil {
		for i := range c.Item.Rows {
			n += len(c.Item.Rows[i].Deliveries)
		}
	}
	switch {
	case n > command.MaxDeliveries:
		return refuse(rookery.KindLimit, "%d deliveries in one command, at most %d", n, command.MaxDeliveries)
	case c.Size < 0 || c.Size > maxSize:
		return refuse(rookery.KindInvalid, "a message of %d bytes", c.Size)
	case c.Email == rookery.EmailID{}:
		return refuse(rookery.KindInvalid, "the message has no id")
	case c.Staged != nil && len(c.Payload) > 0:
		return refuse(rookery.KindInvalid, "the message is staged and inline at once")
	}
	return nil
}

// deliverOne files one delivery; fresh says that it made the email and so
// refers to the body.
func (w *work) deliverOne(c *command.Deliver, d *command.Delivery, id BodyID) (filed command.Filed, fresh bool) {
	a, x, err := w.target(c, d)
	if err != nil {
		return command.Filed{Kind: rookery.KindOf(err), Text: tables.Reason(err)}, false
	}
	e := w.email(a.ID, c.Email)
	if fresh = e == nil; fresh {
		e = &email{size: c.Size, body: id, key: d.WrappedKey}
		e.thread, e.tokens = w.thread(a.ID, c.Email, d.Threads)
	}
	e.refs++
	w.Set(emailKey(a.ID, c.Email), e.encode())
	now := w.Time() / 1e9
	r := row{email: c.Email, thread: e.thread, flags: d.Flags & command.FlagsAll, size: e.size, date: d.InternalDate,
		saved: d.SaveDate, keywords: x.intern(d.Keywords), uidl: d.UIDL}
	if r.date == 0 {
		r.date = now
	}
	if r.saved == 0 {
		r.saved = now
	}
	uid := w.file(a, x, &r)
	return command.Filed{OK: true, Mailbox: x.ID, UIDValidity: x.UIDValidity, UID: uid, ModSeq: r.modseq}, fresh
}

// target checks everything that can keep a delivery from being filed.
func (w *work) target(c *command.Deliver, d *command.Delivery) (*openAccount, *openBox, error) {
	if err := checkKeywords(d.Keywords); err != nil {
		return nil, nil, err
	}
	if len(d.WrappedKey) > maxKey || !validUIDL(d.UIDL) {
		return nil, nil, refuse(rookery.KindInvalid, "the delivery's key is too long or its UIDL is not 0 to 70 printable characters")
	}
	a, err := w.account(d.Account)
	if err != nil {
		return nil, nil, err
	}
	x, err := w.destination(a, d)
	if err != nil {
		return nil, nil, err
	}
	if !d.NoQuota {
		if err := a.fits(c.Size); err != nil {
			return nil, nil, err
		}
	}
	if err := x.room(1); err != nil {
		return nil, nil, err
	}
	return a, x, x.spare(d.Keywords)
}

// destination is the mailbox that a delivery names, by id or role.
func (w *work) destination(a *openAccount, d *command.Delivery) (*openBox, error) {
	id := d.Mailbox
	switch {
	case d.Role != "" && id != 0:
		return nil, refuse(rookery.KindInvalid, "the delivery names mailbox %d and the role %.100q; it may name one of them", id, d.Role)
	case d.Role != "":
		if err := checkRole(d.Role); err != nil {
			return nil, err
		}
		if id = w.byRole(a, d.Role); id == 0 && d.Strict {
			return nil, refuse(rookery.KindNotFound, "the account has no mailbox of the role %s", d.Role)
		}
	}
	if id == 0 {
		id = Inbox
	}
	x, err := w.box(a, id)
	if err != nil && !d.Strict {
		x, err = w.box(a, Inbox)
	}
	return x, err
}

// validUIDL reports whether s can be a POP3 unique id (RFC 1939 7), or none.
func validUIDL(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return len(s) <= 70
}
