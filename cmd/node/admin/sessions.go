package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/clients"
	"rookery/cmd/node/peers"
)

// sessionRoutes adds the orders of rookery session.
func (a *Server) sessionRoutes(t *routes) {
	t.reads("GET /v1/sessions", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		a.orderSessions(w, r, adminapi.SessionFilter{Account: q.Get("account"), Node: q.Get("node"), Protocol: q.Get("protocol"),
			ID: q.Get("id")}, a.o.Clients.List)
	})
	t.changes("POST /v1/sessions/end", "session end", func(w http.ResponseWriter, r *http.Request) {
		var f adminapi.SessionFilter
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&f)
		if err == nil && f == (adminapi.SessionFilter{}) {
			err = errors.New("name an account, a node, a protocol or a session")
		}
		if err != nil {
			replyError(w, rookery.E("end sessions", rookery.KindInvalid, err))
			return
		}
		a.orderSessions(w, r, f, a.o.Clients.End)
	})
}

// orderSessions lists or ends sessions by order.
func (a *Server) orderSessions(w http.ResponseWriter, r *http.Request, f adminapi.SessionFilter,
	order func(context.Context, string, peers.SessionFilter) ([]clients.OnNode, error),
) {
	pick := peers.SessionFilter{Protocol: f.Protocol, ID: f.ID}
	var err error
	if f.Account != "" {
		pick.Account, err = a.account(r.Context(), f.Account)
	}
	var all []clients.OnNode
	if err == nil {
		all, err = order(r.Context(), f.Node, pick)
	}
	if err != nil {
		replyError(w, err)
		return
	}
	l := sessionList(all)
	noteDetail(w, fmt.Sprintf("%d ended, not asked: %v", l.Ended, l.Unasked))
	reply(w, l)
}

func sessionList(all []clients.OnNode) adminapi.SessionList {
	l := adminapi.SessionList{Sessions: []adminapi.SessionStatus{}, Unasked: []string{}}
	for _, on := range all {
		if on.Err != nil {
			l.Unasked = append(l.Unasked, on.Name)
		}
		for _, c := range on.Sessions.Sessions {
			s := adminapi.SessionStatus{ID: c.ID, Node: on.Name, Protocol: c.Protocol, Login: c.Login, Client: c.Addr, Since: c.Since.UTC()}
			if c.Account != (rookery.AccountID{}) {
				s.Account = c.Account.String()
			}
			l.Sessions = append(l.Sessions, s)
		}
		l.More += on.More
		l.Ended += on.Ended
	}
	return l
}
