package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/storage/system"
)

// maxAccounts bounds a page of accounts.
const maxAccounts = 1000

// account finds an account by an address or by its id.
func (a *Server) account(ctx context.Context, who string) (rookery.AccountID, error) {
	if err := a.o.Replicas.Barrier(ctx, rookery.SystemGroup); err != nil {
		return rookery.AccountID{}, err
	}
	if id, err := rookery.ParseAccountID(who); err == nil {
		_, err := a.o.Replicas.System().Account(id)
		return id, err
	}
	addr, err := rookery.ParseAddress(who)
	if err != nil {
		return rookery.AccountID{}, rookery.E("find account", rookery.KindInvalid,
			fmt.Errorf("%q is neither an address nor the id of an account", who))
	}
	entry, err := a.o.Directory.Recipient(ctx, addr)
	if rookery.Is(err, rookery.KindNotFound) {
		return a.formerly(addr, err)
	}
	if err != nil {
		return rookery.AccountID{}, err
	}
	place, err := a.o.Replicas.System().ByKey(entry.Key)
	return place.Account, err
}

// formerly is the one account whose owner was last known with an address that
// the directory has no more; unknown is the error where there is none.
func (a *Server) formerly(addr rookery.Address, unknown error) (rookery.AccountID, error) {
	holders, err := a.o.Replicas.System().Holders([]string{addr.Key()})
	switch {
	case err != nil:
		return rookery.AccountID{}, err
	case len(holders) == 0:
		return rookery.AccountID{}, unknown
	case len(holders) > 1:
		return rookery.AccountID{}, rookery.E("find account", rookery.KindConflict,
			fmt.Errorf("%d accounts had %s: name one by its id: %v", len(holders), addr, holders))
	}
	return holders[0], nil
}

// accountStatus is one account.
func (a *Server) accountStatus(p system.Place) adminapi.AccountStatus {
	s := adminapi.AccountStatus{Account: p.Account.String(), Group: p.Group, Entry: p.DirectoryKey}
	if o, err := a.o.Replicas.System().Owner(p.Account); err == nil {
		s.Login, s.DN = o.Login, o.DN
		if len(o.Addresses) > 0 {
			s.Address = o.Addresses[0]
		}
	}
	if at, err := a.o.SignIns.Last(p.Account); err == nil && at.Time > 0 {
		s.SignIn = &adminapi.SignIn{Time: time.Unix(0, at.Time).UTC(), Protocol: at.Protocol}
	}
	m := a.o.Replicas.Machine(p.Group)
	if m == nil {
		return s
	}
	if v, err := m.View(p.Account); err == nil {
		defer v.Close()
		x := v.Account()
		s.Messages, s.Bytes, s.Quota = &x.UsedMessages, &x.UsedBytes, &x.Quota
	}
	return s
}

// accountDetails is one account, wherever it is, with what the directory says.
func (a *Server) accountDetails(ctx context.Context, id rookery.AccountID) (d adminapi.AccountDetails, err error) {
	place, err := a.o.Replicas.System().Account(id)
	if err != nil {
		return d, err
	}
	d = adminapi.AccountDetails{AccountStatus: a.accountStatus(place), State: "present", Addresses: []string{}}
	if o, err := a.o.Replicas.System().Owner(id); err == nil && len(o.Addresses) > 0 {
		d.Addresses = o.Addresses
	}
	if d.Messages == nil {
		if x, err := a.o.Accounts.Open(ctx, id); err == nil {
			if f, err := x.Facts(ctx); err == nil {
				d.Messages, d.Bytes, d.Quota = &f.Messages, &f.Used, &f.Quota
			}
		}
	}
	entry, err := a.o.Directory.ByKey(ctx, place.DirectoryKey)
	switch {
	case rookery.Is(err, rookery.KindNotFound):
		d.State = "gone"
	case err != nil:
		d.State, d.Trouble = "unknown", err.Error()
	case entry.Disabled:
		d.State = "disabled"
	}
	if err == nil {
		d.DN = entry.DN
	}
	return d, nil
}

// accountRoutes adds the orders of rookery account.
func (a *Server) accountRoutes(t *routes) {
	t.reads("GET /v1/accounts", a.getAccounts)
	t.reads("GET /v1/accounts/{who}", func(w http.ResponseWriter, r *http.Request) {
		id, err := a.account(r.Context(), r.PathValue("who"))
		var d adminapi.AccountDetails
		if err == nil {
			d, err = a.accountDetails(r.Context(), id)
		}
		if err != nil {
			replyError(w, err)
			return
		}
		reply(w, d)
	})
	t.changes("POST /v1/accounts/{who}/move", "account move", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			To rookery.GroupID `json:"to"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&in); err != nil {
			replyError(w, rookery.E("move account", rookery.KindInvalid, err))
			return
		}
		a.changeMove(w, r, func(id rookery.AccountID) error {
			return a.o.Moves.Begin(r.Context(), id, in.To)
		})
	})
	t.changes("POST /v1/accounts/{who}/link", "account link", a.postLink)
	t.changes("POST /v1/accounts/{who}/abandon", "account abandon", func(w http.ResponseWriter, r *http.Request) {
		a.changeMove(w, r, func(id rookery.AccountID) error {
			return a.o.Moves.Abandon(r.Context(), id)
		})
	})
}

// changeMove runs an order about an account's move and answers with the move.
func (a *Server) changeMove(w http.ResponseWriter, r *http.Request, order func(rookery.AccountID) error) {
	id, err := a.account(r.Context(), r.PathValue("who"))
	if err == nil {
		err = order(id)
	}
	if err == nil {
		err = a.o.Replicas.Barrier(r.Context(), rookery.SystemGroup)
	}
	if err != nil {
		replyError(w, err)
		return
	}
	s := adminapi.MoveStatus{Account: id.String()}
	if x, err := a.o.Replicas.System().Move(id); err == nil {
		s = a.o.Moves.Status(x)
	}
	reply(w, s)
}

func (a *Server) getAccounts(w http.ResponseWriter, r *http.Request) {
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
	if err := a.o.Replicas.Barrier(r.Context(), rookery.SystemGroup); err != nil {
		replyError(w, err)
		return
	}
	out := adminapi.AccountsPage{Accounts: []adminapi.AccountStatus{}}
	for len(out.Accounts) < maxAccounts {
		places, err := a.o.Replicas.System().Accounts(after, maxAccounts)
		if err != nil {
			replyError(w, err)
			return
		}
		for _, p := range places {
			if after = p.Account; group == 0 || p.Group == rookery.GroupID(group) {
				out.Accounts = append(out.Accounts, a.accountStatus(p))
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
