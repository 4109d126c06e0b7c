package adminapi

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// RelayCredential lets an application or device relay.
type RelayCredential struct {
	Name string `json:"name"`
	// Secret is there only in the answer to the order that made it.
	Secret  string   `json:"secret,omitempty"`
	Senders []string `json:"senders"`
	// Rate is how many recipients it may name in an hour; 0 is no bound.
	Rate uint32    `json:"rate_per_hour"`
	Made time.Time `json:"made"`
}

// RelayOrder says what a new credential may do.
type RelayOrder struct {
	Senders []string `json:"senders"`
	Rate    uint32   `json:"rate_per_hour"`
}

// RelayCredentials lists all, without secrets.
func (c *Client) RelayCredentials(ctx context.Context) (all []RelayCredential, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/relay", nil, &all)
	return all, err
}

// AddRelay makes a credential; KindExists: the name is taken.
func (c *Client) AddRelay(ctx context.Context, name string, o RelayOrder) (x RelayCredential, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/relay/"+url.PathEscape(name)+"/add", o, &x)
	return x, err
}

// RemoveRelay takes one away; KindNotFound: there is none of the name.
func (c *Client) RemoveRelay(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodPost, "/v1/relay/"+url.PathEscape(name)+"/remove", struct{}{}, &struct{}{})
}
