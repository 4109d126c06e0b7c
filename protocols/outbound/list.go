package outbound

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/queue"
	"rookery/storage/state"
)

// State is how a recipient in another system waits.
type State string

// The states.
const (
	Due     State = "due"     // waits for a courier
	Sending State = "sending" // a courier has it
	Waiting State = "waiting" // for its next attempt
	Held    State = "held"    // until somebody releases it
	// Scheduled is for later, as the sender wants it; who gets it may be here.
	Scheduled State = "scheduled"
)

// Entry is one recipient that is owed a message, as operators see it.
type Entry struct {
	Row       queue.Ref        `cbor:"1,keyasint"`
	Group     rookery.GroupID  `cbor:"2,keyasint"`
	State     State            `cbor:"3,keyasint"`
	Kind      command.ItemKind `cbor:"4,keyasint"`
	From      string           `cbor:"5,keyasint,omitempty"`
	To        string           `cbor:"6,keyasint,omitempty"`
	MessageID string           `cbor:"7,keyasint,omitempty"`
	NextHop   string           `cbor:"8,keyasint,omitempty"`
	Size      int64            `cbor:"9,keyasint"`
	// Accepted is when the message came, Due when the entry is tried next, of Due
	// and Waiting; unix nanoseconds.
	Accepted int64  `cbor:"10,keyasint"`
	Due      int64  `cbor:"11,keyasint,omitempty"`
	Attempts uint32 `cbor:"12,keyasint,omitempty"`
	// Last is what was heard last; its Time is 0 where nothing was tried.
	Last queue.Heard `cbor:"13,keyasint"`
	// Others counts the recipients of this cluster beside To, of Scheduled.
	Others uint32 `cbor:"15,keyasint,omitempty"`
	// Unusual says that it is held because its sender, Account, sends far more than
	// it does.
	Unusual bool              `cbor:"16,keyasint,omitempty"`
	Account rookery.AccountID `cbor:"17,keyasint"`
	// Braked says that it is held instead of going back.
	Braked bool `cbor:"18,keyasint,omitempty"`
	// Stopped says that it is held because its sender's account was disabled or gone
	// when it was time for it.
	Stopped bool `cbor:"19,keyasint,omitempty"`
	// Trouble says why the entry cannot be opened; then names are missing.
	Trouble string `cbor:"14,keyasint,omitempty"`
}

// Why says why an entry is held that no administrator has held; "" else.
func (e *Entry) Why() string {
	switch {
	case e.Unusual:
		return "unusual: its sender sends far more than it does"
	case e.Braked:
		return "brake: it failed together with too many others"
	case e.Stopped:
		return "disabled: its sender's account was disabled or gone when it was time"
	}
	return ""
}

// Filter picks entries; what is empty picks all. Text is compared without regard
// to case.
type Filter struct {
	Sender    string `cbor:"1,keyasint,omitempty"` // whole address
	Recipient string `cbor:"2,keyasint,omitempty"` // whole address
	Domain    string `cbor:"3,keyasint,omitempty"` // of the recipient
	NextHop   string `cbor:"4,keyasint,omitempty"` // whole
	Reason    string `cbor:"5,keyasint,omitempty"` // part of why it is held, or of what was heard last
	State     State  `cbor:"6,keyasint,omitempty"` //
	Older     int64  `cbor:"7,keyasint,omitempty"` // age in seconds, at least
	Item      string `cbor:"8,keyasint,omitempty"` // id of a message, or of it and a recipient
	// Accounts are those who sent it.
	Accounts []rookery.AccountID `cbor:"9,keyasint,omitempty"`
}

// Matches reports whether a filter picks an entry.
func (f *Filter) Matches(e *Entry, now time.Time) bool {
	_, domain, _ := strings.Cut(e.To, "@")
	for _, x := range [][2]string{{f.Sender, e.From}, {f.Recipient, e.To}, {f.Domain, domain}, {f.NextHop, e.NextHop}} {
		if x[0] != "" && !strings.EqualFold(x[0], x[1]) {
			return false
		}
	}
	if len(f.Accounts) > 0 && !slices.Contains(f.Accounts, e.Account) {
		return false
	}
	id := ID(e.Row)
	return (f.Reason == "" || strings.Contains(strings.ToLower(e.Why()+" "+e.Last.Text), strings.ToLower(f.Reason))) &&
		(f.State == "" || f.State == e.State) && (f.Older == 0 || now.Sub(time.Unix(0, e.Accepted)) >= time.Duration(f.Older)*time.Second) &&
		(f.Item == "" || f.Item == id || strings.HasPrefix(id, f.Item+"."))
}

// List calls fn for what a group with a replica here owes behind an item, message
// by message, until it returns false.
func (c *Couriers) List(ctx context.Context, g rookery.GroupID, after command.ItemID, fn func(Entry) (more bool)) error {
	m := c.o.Machine(g)
	if m == nil {
		return rookery.E("list queue", rookery.KindUnavailable, errLeft)
	}
	now, set := max(c.o.Clock().UnixNano(), m.Time()), c.o.Settings()
	return m.Queue(func(r state.Reader) error {
		return queue.Each(r, after, func(id command.ItemID, h queue.Header) (bool, error) {
			if h.Day == 0 {
				return ctx.Err() == nil, nil // for groups of this cluster only
			}
			rows, err := queue.RowsOf(r, id)
			if err != nil {
				return false, err
			}
			for n := range uint32(command.MaxDeliveries) {
				row, ok := rows[n]
				if !ok || row.Kind != command.ToRemote && !row.Waits(now) && !row.Held {
					continue
				}
				if !fn(c.entry(ctx, g, queue.Ref{Item: id, N: n}, &h, &row, &set, now)) {
					return false, nil
				}
			}
			return true, ctx.Err()
		})
	})
}

func (c *Couriers) entry(ctx context.Context, g rookery.GroupID, x queue.Ref, h *queue.Header, row *queue.Row, set *Settings,
	now int64) Entry {
	e := Entry{Row: x, Group: g, Kind: h.Kind, Size: h.Size, Accepted: h.Time, Attempts: row.Tries, Due: row.Due,
		Unusual: row.Held && row.Unusual, Braked: row.Held && row.Braked, Stopped: row.Held && row.Stopped,
		Account: h.Account}
	switch {
	case row.Taken():
		e.State, e.Due = Sending, 0
	case row.Held:
		e.State, e.Due = Held, 0
	case row.Waits(now):
		e.State = Scheduled
	case row.Due <= now:
		e.State = Due
	default:
		e.State = Waiting
	}
	if err := c.name(ctx, &e, h, row, set); err != nil {
		e.Trouble = err.Error()
	}
	return e
}

// name opens what is sealed of an entry.
func (c *Couriers) name(ctx context.Context, e *Entry, h *queue.Header, row *queue.Row, set *Settings) error {
	key, err := c.o.Days.Open(ctx, e.Group, keys.Day(h.Day))
	if err != nil {
		return err
	}
	envelope, err := queue.OpenEnvelope(key, e.Row.Item, h.Envelope)
	if err != nil {
		return err
	}
	e.From, e.MessageID = envelope.From, envelope.MessageID
	to, err := queue.OpenRecipient(key, e.Row, row.Recipient)
	if err != nil {
		return err
	}
	e.To, e.Others = to.Address, to.Others
	if len(row.Last) > 0 {
		if e.Last, err = queue.OpenHeard(key, e.Row, row.Last); err != nil {
			return err
		}
	}
	if row.Kind != command.ToRemote {
		return nil
	}
	addr, err := rookery.ParseAddress(to.Address)
	e.NextHop = set.route(row, to, addr).String()
	return err
}

// Trouble is a next hop that gets no mail for a reason that is ours or our
// route's to mend.
type Trouble struct {
	NextHop string
	Heard   queue.Heard
}

// troubleFor is how long a failure counts that nothing was tried after.
const troubleFor = 6 * time.Hour

// Troubles are what keeps this node's couriers from sending, and ends no message.
func (c *Couriers) Troubles() []Trouble { return c.pending.ours(c.o.Clock().Add(-troubleFor)) }

// ID names a row to operators: its item in hexadecimal and its number.
func ID(x queue.Ref) string { return itemID(x.Item) + "." + strconv.FormatUint(uint64(x.N), 10) }

// Bounce sends rows back to their sender as an administrator wants, with the
// reason that the sender is told, and counts them; held ones too. A row that is
// being sent is left.
func (c *Couriers) Bounce(ctx context.Context, g rookery.GroupID, rows []queue.Ref, reason string) (done int, err error) {
	given, err := c.begin(ctx, g, rows, true)
	if err != nil {
		return 0, err
	}
	byItem := map[command.ItemID]parcel{}
	for _, x := range rows {
		if given[x] {
			p := byItem[x.Item]
			p.group, p.item, p.rows = g, x.Item, append(p.rows, x.N)
			byItem[x.Item] = p
		}
	}
	for _, p := range byItem {
		heard := queue.Heard{Time: c.o.Clock().UnixNano(), Text: reason, Status: "5.7.1"}
		results := c.each(ctx, p, result{heard: heard})
		done += len(results)
		for _, some := range alike(results) {
			c.settle(context.WithoutCancel(ctx), g, c.notify(ctx, p, some, false)...)
		}
	}
	return done, nil
}
