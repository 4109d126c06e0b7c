package adminapi

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// SessionStatus is the session of a client that has signed in.
type SessionStatus struct {
	ID       string `json:"id"`
	Node     string `json:"node"`
	Protocol string `json:"protocol"`
	// Account is empty where none belongs to the login yet.
	Account string    `json:"account"`
	Login   string    `json:"login"`
	Client  string    `json:"client"`
	Since   time.Time `json:"since"`
}

// SessionFilter picks sessions; what is empty picks all. Account is an address
// or an id, Node a name or an id, Protocol is imap, pop3 or smtp.
type SessionFilter struct {
	Account  string `json:"account,omitempty"`
	Node     string `json:"node,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	ID       string `json:"id,omitempty"`
}

// SessionList are sessions, or how many of them were ended.
type SessionList struct {
	Sessions []SessionStatus `json:"sessions"`
	// More are sessions that are not listed because there are too many.
	More  int `json:"more"`
	Ended int `json:"ended"`
	// Unasked are the nodes that did not answer.
	Unasked []string `json:"nodes_not_asked"`
}

// Sessions lists sessions on all nodes.
func (c *Client) Sessions(ctx context.Context, f SessionFilter) (l SessionList, err error) {
	q := url.Values{"account": {f.Account}, "node": {f.Node}, "protocol": {f.Protocol}, "id": {f.ID}}
	err = c.call(ctx, http.MethodGet, "/v1/sessions?"+q.Encode(), nil, &l)
	return l, err
}

// EndSessions ends sessions on all nodes. KindInvalid: the filter picks all.
func (c *Client) EndSessions(ctx context.Context, f SessionFilter) (l SessionList, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/sessions/end", f, &l)
	return l, err
}
