package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/system"
)

// AccountStatus is an account as the node asked knows it.
type AccountStatus struct {
	Account string          `json:"account"`
	Group   rookery.GroupID `json:"group"`
	// Entry is the directory's name and the entry's id there.
	Entry string `json:"directory_entry"`
	// Messages and Bytes are used; null where the node holds no replica of the
	// group or the account is on its way.
	Messages *uint64 `json:"messages"`
	Bytes    *int64  `json:"bytes"`
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

// maxAccounts bounds a page of accounts.
const maxAccounts = 1000

// account finds an account by an address or by its id.
func (n *Node) account(ctx context.Context, who string) (rookery.AccountID, error) {
	if err := n.road.Barrier(ctx, rookery.SystemGroup); err != nil {
		return rookery.AccountID{}, err
	}
	if id, err := rookery.ParseAccountID(who); err == nil {
		_, err := n.groups.system.Account(id)
		return id, err
	}
	addr, err := rookery.ParseAddress(who)
	if err != nil {
		return rookery.AccountID{}, rookery.E("find account", rookery.KindInvalid, fmt.Errorf("%q is neither an address nor the id of an account", who))
	}
	entry, err := n.people.Recipient(ctx, addr)
	if err != nil {
		return rookery.AccountID{}, err
	}
	place, err := n.groups.system.ByKey(entry.Key)
	return place.Account, err
}

// accountStatus is one account.
func (n *Node) accountStatus(p system.Place) AccountStatus {
	s := AccountStatus{Account: p.Account.String(), Group: p.Group, Entry: p.DirectoryKey}
	m := n.groups.machine(p.Group)
	if m == nil {
		return s
	}
	if v, err := m.View(p.Account); err == nil {
		defer v.Close()
		x := v.Account()
		s.Messages, s.Bytes = &x.UsedMessages, &x.UsedBytes
	}
	return s
}

// moveStatuses are the moves under way.
func (n *Node) moveStatuses() ([]MoveStatus, error) {
	moves, err := n.groups.system.Moves()
	all := make([]MoveStatus, 0, len(moves))
	for _, x := range moves {
		all = append(all, n.moveStatus(x))
	}
	return all, err
}

func (n *Node) moveStatus(x system.AccountMove) MoveStatus {
	s := MoveStatus{Account: x.Account.String(), From: x.From, To: x.To, State: x.State.String(), Since: x.Begun / 1e9, Trouble: x.Reason}
	if err := n.movers.trouble(x.Move); err != nil && s.Trouble == "" {
		s.Trouble = err.Error()
	}
	if m := n.groups.machine(x.From); m != nil {
		if v, err := m.View(x.Account); err == nil {
			used := v.Account().UsedMessages
			s.Messages = &used
			v.Close()
		} else if rookery.Is(err, rookery.KindMoved) && x.State == system.MoveCopying {
			s.State = "frozen"
		}
	}
	if m := n.groups.machine(x.To); m != nil {
		for _, y := range n.movers.moving(m) {
			if y.Account == x.Account && y.Move == x.Move {
				s.Copied = &y.Bodies
			}
		}
	}
	return s
}

// accountOrders adds the orders of rookery account.
func (n *Node) accountOrders(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/accounts", n.getAccounts)
	mux.HandleFunc("GET /v1/accounts/{who}", func(w http.ResponseWriter, r *http.Request) {
		id, err := n.account(r.Context(), r.PathValue("who"))
		var place system.Place
		if err == nil {
			place, err = n.groups.system.Account(id)
		}
		if err != nil {
			replyError(w, err)
			return
		}
		reply(w, n.accountStatus(place))
	})
	mux.HandleFunc("POST /v1/accounts/{who}/move", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			To rookery.GroupID `json:"to"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in); err != nil {
			replyError(w, rookery.E("move account", rookery.KindInvalid, err))
			return
		}
		n.changeMove(w, r, func(id rookery.AccountID) error {
			_, err := n.propose(r.Context(), &command.BeginMove{Account: id, To: in.To})
			return err
		})
	})
	mux.HandleFunc("POST /v1/accounts/{who}/abandon", func(w http.ResponseWriter, r *http.Request) {
		n.changeMove(w, r, func(id rookery.AccountID) error {
			x, err := n.groups.system.Move(id)
			if err != nil {
				return err
			}
			_, err = n.propose(r.Context(), &command.AbandonMove{Account: id, Move: x.Move, Reason: "the operator gave it up"})
			return err
		})
	})
}

// changeMove runs an order about an account's move and answers with the move.
func (n *Node) changeMove(w http.ResponseWriter, r *http.Request, order func(rookery.AccountID) error) {
	id, err := n.account(r.Context(), r.PathValue("who"))
	if err == nil {
		err = order(id)
	}
	if err == nil {
		err = n.road.Barrier(r.Context(), rookery.SystemGroup)
	}
	if err != nil {
		replyError(w, err)
		return
	}
	s := MoveStatus{Account: id.String()}
	if x, err := n.groups.system.Move(id); err == nil {
		s = n.moveStatus(x)
	}
	reply(w, s)
}

func (n *Node) getAccounts(w http.ResponseWriter, r *http.Request) {
	var after rookery.AccountID
	var err error
	if s := r.URL.Query().Get("after"); s != "" {
		after, err = rookery.ParseAccountID(s)
	}
	var group uint64
	if s := r.URL.Query().Get("group"); s != "" && err == nil {
		group, err = strconv.ParseUint(s, 10, 32)
	}
	if err != nil {
		replyError(w, rookery.E("list accounts", rookery.KindInvalid, errors.New("malformed question")))
		return
	}
	if err := n.road.Barrier(r.Context(), rookery.SystemGroup); err != nil {
		replyError(w, err)
		return
	}
	out := accountsPage{Accounts: []AccountStatus{}}
	for len(out.Accounts) < maxAccounts {
		places, err := n.groups.system.Accounts(after, maxAccounts)
		if err != nil {
			replyError(w, err)
			return
		}
		for _, p := range places {
			if after = p.Account; group == 0 || p.Group == rookery.GroupID(group) {
				out.Accounts = append(out.Accounts, n.accountStatus(p))
			}
		}
		if len(places) < maxAccounts {
			reply(w, out)
			return
		}
	}
	out.Next = after.String()
	reply(w, out)
}

// accountsPage is what travels over the administration socket.
type accountsPage struct {
	Accounts []AccountStatus `json:"accounts"`
	// Next is where the next page begins, empty at the end.
	Next string `json:"next,omitempty"`
}

// Accounts lists the accounts of a group, 0 for all.
func (c *AdminClient) Accounts(ctx context.Context, group rookery.GroupID) (all []AccountStatus, err error) {
	q := url.Values{"group": {fmt.Sprint(group)}}
	for {
		var page accountsPage
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

// Account is one account, by an address or its id.
func (c *AdminClient) Account(ctx context.Context, who string) (a AccountStatus, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/accounts/"+url.PathEscape(who), nil, &a)
	return a, err
}

// MoveAccount begins to move an account to a group. KindExists: it is there.
func (c *AdminClient) MoveAccount(ctx context.Context, who string, to rookery.GroupID) (m MoveStatus, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/accounts/"+url.PathEscape(who)+"/move", map[string]any{"to": to}, &m)
	return m, err
}

// AbandonMove gives an account's move up. KindConflict: it is decided already.
func (c *AdminClient) AbandonMove(ctx context.Context, who string) (m MoveStatus, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/accounts/"+url.PathEscape(who)+"/abandon", struct{}{}, &m)
	return m, err
}
