package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// Relays are the relay credentials.
type Relays interface {
	List(ctx context.Context) ([]adminapi.RelayCredential, error)
	Add(ctx context.Context, name string, o adminapi.RelayOrder) (adminapi.RelayCredential, error)
	Remove(ctx context.Context, name string) error
}

// relayRoutes adds the orders of rookery relay.
func (a *Server) relayRoutes(t *routes) {
	t.reads("GET /v1/relay", func(w http.ResponseWriter, r *http.Request) {
		all, err := a.o.Relays.List(r.Context())
		answer(w, all, err)
	})
	t.changes("POST /v1/relay/{name}/add", "relay add", func(w http.ResponseWriter, r *http.Request) {
		var o adminapi.RelayOrder
		if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
			replyError(w, rookery.E("read order", rookery.KindInvalid, err))
			return
		}
		x, err := a.o.Relays.Add(r.Context(), r.PathValue("name"), o)
		answer(w, x, err)
	})
	t.changes("POST /v1/relay/{name}/remove", "relay remove", func(w http.ResponseWriter, r *http.Request) {
		answer(w, struct{}{}, a.o.Relays.Remove(r.Context(), r.PathValue("name")))
	})
}
