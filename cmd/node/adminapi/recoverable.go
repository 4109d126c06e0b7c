package adminapi

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// RecoverableMessage is an expunged message that can be recovered.
type RecoverableMessage struct {
	// ID names it in the account's list.
	ID string `json:"id"`
	// Mailbox is where it was.
	Mailbox  string    `json:"mailbox"`
	Expunged time.Time `json:"expunged"`
	Received time.Time `json:"received"`
	Size     int64     `json:"size"`
	// From, Subject and MessageID are empty where the message cannot be opened.
	From      string `json:"from"`
	Subject   string `json:"subject"`
	MessageID string `json:"message_id"`
}

// RecoverOrder picks expunged messages; what is empty picks all.
type RecoverOrder struct {
	IDs     []string  `json:"ids,omitempty"`
	Mailbox string    `json:"mailbox,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	// To is the mailbox they go to; empty: the one each was in.
	To string `json:"to,omitempty"`
	// All says that all are meant where nothing else is given.
	All bool `json:"all,omitempty"`
}

// RecoverableList are expunged messages, the last ones to be expunged last.
type RecoverableList struct {
	Messages []RecoverableMessage `json:"messages"`
	// More are those that were expunged later and are not listed.
	More int `json:"more"`
	// Recovered is how many were filed again.
	Recovered int `json:"recovered"`
}

// Recoverable lists an account's expunged messages.
func (c *Client) Recoverable(ctx context.Context, who string, o RecoverOrder) (l RecoverableList, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/accounts/"+url.PathEscape(who)+"/recoverable", o, &l)
	return l, err
}

// Recover files expunged messages again. KindInvalid: the order picks none by
// name and does not say All.
func (c *Client) Recover(ctx context.Context, who string, o RecoverOrder) (l RecoverableList, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/accounts/"+url.PathEscape(who)+"/recover", o, &l)
	return l, err
}
