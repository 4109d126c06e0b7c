package adminapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// QueueFilter picks what is owed to other systems; what is empty picks all.
type QueueFilter struct {
	// ID is that of an entry, or of a message with all its recipients.
	ID        string `json:"id,omitempty"`
	Sender    string `json:"sender,omitempty"`
	Recipient string `json:"recipient,omitempty"`
	// Domain is the recipient's.
	Domain  string `json:"domain,omitempty"`
	NextHop string `json:"next_hop,omitempty"`
	// Reason is a part of why it is held, or of what was heard last.
	Reason string `json:"reason,omitempty"`
	// State is due, sending, waiting, held or scheduled.
	State string `json:"state,omitempty"`
	// OlderThan is an age in seconds.
	OlderThan int64 `json:"older_than_s,omitempty"`
}

// QueueEntry is one recipient in another system who is owed a message.
type QueueEntry struct {
	ID    string `json:"id"`
	State string `json:"state"`
	// Notification says that the message tells a sender what became of another.
	Notification bool      `json:"notification"`
	From         string    `json:"from"`
	To           string    `json:"to"`
	MessageID    string    `json:"message_id"`
	NextHop      string    `json:"next_hop"`
	Size         int64     `json:"size"`
	Accepted     time.Time `json:"accepted"`
	// Next is when it is tried next; none while it is sent or held.
	Next     *time.Time `json:"next"`
	Attempts uint32     `json:"attempts"`
	// Last is the last attempt; none where there was none.
	Last *QueueAttempt `json:"last"`
	// Why says why it is held, where no administrator has held it.
	Why string `json:"why,omitempty"`
	// Others counts further recipients of this cluster, where it is scheduled.
	Others uint32 `json:"others,omitempty"`
	// Trouble says why the entry cannot be opened.
	Trouble string `json:"trouble,omitempty"`
}

// QueueAttempt is how an attempt ended.
type QueueAttempt struct {
	Time  time.Time `json:"time"`
	Host  string    `json:"host"`
	Addr  string    `json:"address"`
	Stage string    `json:"stage"`
	// Code is that of the reply, 0 where there was none; Reply is its text, or what
	// failed.
	Code  int    `json:"code"`
	Reply string `json:"reply"`
	TLS   string `json:"tls"`
	// Ours says that the failure is ours or our next hop's, not the recipient's.
	Ours bool `json:"ours"`
}

// QueueList are entries, the oldest message first.
type QueueList struct {
	Entries []QueueEntry `json:"entries"`
	// More are those that are not listed because there are too many.
	More int `json:"more"`
}

// QueueSum is what waits for one next hop in one state.
type QueueSum struct {
	NextHop   string    `json:"next_hop"`
	State     string    `json:"state"`
	Count     int       `json:"count"`
	Bytes     int64     `json:"bytes"`
	Oldest    time.Time `json:"oldest"`
	LastReply string    `json:"last_reply"`
	// Ours says that the last failure was ours or our next hop's.
	Ours bool `json:"ours"`
}

// QueueOrder does something with what a filter picks.
type QueueOrder struct {
	QueueFilter
	// All says that all are meant where the filter is empty.
	All bool `json:"all,omitempty"`
	// To is the next hop of reroute, host:port; empty is what routing says.
	To string `json:"to,omitempty"`
	// Why is what senders are told by bounce.
	Why string `json:"why,omitempty"`
}

// ContentOrder asks for the text of a message in the queue.
type ContentOrder struct {
	// ID is that of an entry, or of a message.
	ID string `json:"id"`
	// Reason is why somebody reads it; the audit keeps it.
	Reason string `json:"reason"`
}

// QueueDone is what came of an order.
type QueueDone struct {
	Done int `json:"done"`
	// Left are entries that were being sent, or had ended meanwhile.
	Left int `json:"left"`
}

func (f *QueueFilter) query() url.Values {
	return url.Values{"id": {f.ID}, "sender": {f.Sender}, "recipient": {f.Recipient}, "domain": {f.Domain}, "next_hop": {f.NextHop},
		"reason": {f.Reason}, "state": {f.State}, "older_than_s": {strconv.FormatInt(f.OlderThan, 10)}}
}

// Queue lists what is owed to other systems, at most limit.
func (c *Client) Queue(ctx context.Context, f QueueFilter, limit int) (l QueueList, err error) {
	q := f.query()
	q.Set("limit", strconv.Itoa(limit))
	err = c.call(ctx, http.MethodGet, "/v1/queue?"+q.Encode(), nil, &l)
	return l, err
}

// QueueSummary sums the queue up by next hop and state.
func (c *Client) QueueSummary(ctx context.Context, f QueueFilter) (sums []QueueSum, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/queue/summary?"+f.query().Encode(), nil, &sums)
	return sums, err
}

// QueueContent hands on a message in the queue as it would be sent, part by part.
// KindInvalid: there is no reason; KindNotFound: nothing has the id.
func (c *Client) QueueContent(ctx context.Context, o ContentOrder, fn func(part []byte) error) error {
	return c.callStream(ctx, "/v1/queue/content", o, func(b json.RawMessage) error {
		var part []byte
		if err := json.Unmarshal(b, &part); err != nil {
			return err
		}
		return fn(part)
	})
}

// SteerQueue does to entries what verb says: hold, release, retry, reroute,
// cancel or bounce. KindInvalid: the filter picks all and All is not set.
func (c *Client) SteerQueue(ctx context.Context, verb string, o QueueOrder) (d QueueDone, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/queue/"+verb, o, &d)
	return d, err
}
