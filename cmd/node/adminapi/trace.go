package adminapi

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// TraceFilter picks messages and refusals; what is empty picks all.
type TraceFilter struct {
	// ID is what the reply to the message and its Received field say.
	ID        string
	MessageID string
	// Sender and Recipient are addresses, or domains behind an @.
	Sender, Recipient string
	// User and Client pick refusals and sign-ins only.
	User, Client string
	// From and Until bound the time; zero is a week ago, and now.
	From, Until time.Time
	// Limit bounds the messages and the refusals; 0 is 20.
	Limit int
}

// Trace is what the cluster knows of messages, the newest first.
type Trace struct {
	Messages []TracedMessage `json:"messages"`
	// MoreMessages and MoreRecent are those left out for the limit.
	MoreMessages int  `json:"more_messages"`
	MoreRecent   bool `json:"more_recent"`
	// Recent are refusals and sign-ins, the oldest first.
	Recent []RecentLine `json:"recent"`
	// Silent are the nodes and groups that did not answer, and why.
	Silent []string `json:"silent"`
}

// TracedMessage is one message with what happened to it, in order.
type TracedMessage struct {
	ID        string       `json:"id"`
	MessageID string       `json:"message_id"`
	From      string       `json:"from"`
	To        []string     `json:"to"`
	Size      int64        `json:"size"`
	Accepted  time.Time    `json:"accepted"`
	Events    []TraceEvent `json:"events"`
}

// TraceEvent is one thing that happened to a message.
type TraceEvent struct {
	Time  time.Time `json:"time"`
	Group uint32    `json:"group"`
	// Event is accepted, filed, sent, deferred, failed, told, disabled (scheduled mail
	// is held, since its sender's account is disabled or gone), or what an operator or
	// an erasure did: hold, release, retry, reroute, cancel.
	Event string `json:"event"`
	// To is the recipient in another system.
	To string `json:"to,omitempty"`
	// Who gave us the message, where it was accepted.
	Node     string `json:"node,omitempty"`
	Client   string `json:"client,omitempty"`
	Hello    string `json:"hello,omitempty"`
	User     string `json:"user,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	Session  string `json:"session,omitempty"`
	// Places are where copies were filed.
	Places []TracePlace `json:"places,omitempty"`
	// MorePlaces are not listed; Missed are accounts that did not get theirs.
	MorePlaces uint32 `json:"more_places,omitempty"`
	Missed     uint32 `json:"missed,omitempty"`
	// Attempt is what another system said.
	Attempt *QueueAttempt `json:"attempt,omitempty"`
	// TLS is the version and cipher under which the message came.
	TLS     string `json:"tls,omitempty"`
	Verdict string `json:"verdict,omitempty"`
	// Notification is the id of a message that told the sender.
	Notification string `json:"notification,omitempty"`
	// Trouble says why not more is known.
	Trouble string `json:"trouble,omitempty"`
}

// TracePlace is where a copy was filed.
type TracePlace struct {
	Account string `json:"account"`
	// Mailbox is today's name; empty where it is gone.
	Mailbox string `json:"mailbox"`
	UID     uint32 `json:"uid"`
}

// RecentLine is a refusal or a sign-in as a node has logged it.
type RecentLine struct {
	Node string `json:"node"`
	// Fields are those of the line in the log, with its time and msg.
	Fields map[string]any `json:"fields"`
}

// Trace says what became of messages.
func (c *Client) Trace(ctx context.Context, f TraceFilter) (t Trace, err error) {
	q := url.Values{"id": {f.ID}, "message_id": {f.MessageID}, "sender": {f.Sender}, "recipient": {f.Recipient}, "user": {f.User},
		"client": {f.Client}, "limit": {strconv.Itoa(f.Limit)}}
	for name, at := range map[string]time.Time{"from": f.From, "until": f.Until} {
		if !at.IsZero() {
			q.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	err = c.call(ctx, http.MethodGet, "/v1/trace?"+q.Encode(), nil, &t)
	return t, err
}
