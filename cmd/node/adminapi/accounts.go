package adminapi

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"rookery"
)

// AccountsPage is a part of the list of accounts.
type AccountsPage struct {
	Accounts []AccountStatus `json:"accounts"`
	// Next is where the next page begins, empty at the end.
	Next string `json:"next,omitempty"`
}

// AccountStatus is an account as the node asked knows it.
type AccountStatus struct {
	Account string          `json:"account"`
	Group   rookery.GroupID `json:"group"`
	// Entry is the directory's id and the entry's id there; Login and Address
	// (the primary one) are what it was last called, empty where not known.
	Entry   string `json:"directory_entry"`
	Login   string `json:"login"`
	Address string `json:"address"`
	// DN is the entry's distinguished name, as ldapsearch takes it for -b.
	DN string `json:"dn"`
	// Messages and Bytes are used; null where the node holds no replica of the
	// group or the account is on its way. A Quota of 0 is no limit.
	Messages *uint64 `json:"messages"`
	Bytes    *int64  `json:"bytes"`
	Quota    *int64  `json:"quota"`
	// SignIn is the last sign-in, as far as is known here: to the hour.
	SignIn *SignIn `json:"last_sign_in"`
}

// SignIn is a sign-in that succeeded.
type SignIn struct {
	Time     time.Time `json:"time"`
	Protocol string    `json:"protocol"`
}

// AccountDetails is one account with what the directory says of it now.
type AccountDetails struct {
	AccountStatus
	// Addresses are all that the entry was last known with, the primary one
	// first.
	Addresses []string `json:"addresses"`
	// State is present, disabled, gone, or unknown where the directory cannot
	// say; Trouble is why it cannot.
	State   string `json:"directory_state"`
	Trouble string `json:"trouble,omitempty"`
}

// MoveStatus is an account on its way to another group.
type MoveStatus struct {
	Account string          `json:"account"`
	From    rookery.GroupID `json:"from"`
	To      rookery.GroupID `json:"to"`
	// State is copying, frozen (out of service for a moment), switched (decided)
	// or abandoned.
	State string `json:"state"`
	// Since is when the move began: unix seconds.
	Since int64 `json:"since"`
	// Copied are the messages in the copy, Messages those of the account; null
	// where the node asked holds no replica.
	Copied   *uint64 `json:"copied"`
	Messages *uint64 `json:"messages"`
	// Trouble is why it does not get on, or why it was abandoned.
	Trouble string `json:"trouble,omitempty"`
}

// Accounts lists the accounts of a group, 0 for all.
func (c *Client) Accounts(ctx context.Context, group rookery.GroupID) (all []AccountStatus, err error) {
	q := url.Values{"group": {fmt.Sprint(group)}}
	for {
		var page AccountsPage
		if err := c.call(ctx, http.MethodGet, "/v1/accounts?"+q.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Accounts...)
		if page.Next == "" {
			return all, nil
		}
		q.Set("after", page.Next)
	}
}

// Account is one account, by an address, an address that its owner was last
// known with, or its id.
func (c *Client) Account(ctx context.Context, who string) (a AccountDetails, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/accounts/"+url.PathEscape(who), nil, &a)
	return a, err
}

// Linked is a directory entry that was bound to an account.
type Linked struct {
	// Entry is the entry, Former the one that had the account before.
	Entry   string `json:"directory_entry"`
	Former  string `json:"former_entry"`
	Account string `json:"account"`
	// Left is the empty account that the entry had; the former entry has it now.
	Left string `json:"left,omitempty"`
}

// LinkAccount binds the directory entry with an address or login to an account,
// named by its id or an address that its owner had; empty is the address in
// who. KindExists: the entry has an account with mail.
func (c *Client) LinkAccount(ctx context.Context, who, to string) (l Linked, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/accounts/"+url.PathEscape(who)+"/link", map[string]any{"to": to}, &l)
	return l, err
}

// MoveAccount begins to move an account to a group. KindExists: it is there.
func (c *Client) MoveAccount(ctx context.Context, who string, to rookery.GroupID) (m MoveStatus, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/accounts/"+url.PathEscape(who)+"/move", map[string]any{"to": to}, &m)
	return m, err
}

// AbandonMove gives an account's move up. KindConflict: it is decided already.
func (c *Client) AbandonMove(ctx context.Context, who string) (m MoveStatus, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/accounts/"+url.PathEscape(who)+"/abandon", struct{}{}, &m)
	return m, err
}
