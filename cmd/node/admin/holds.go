package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// holdRoutes adds rookery backup hold and unhold to the administration socket.
func (a *Server) holdRoutes(t *routes) {
	t.reads("GET /v1/storage/holds", func(w http.ResponseWriter, r *http.Request) {
		l, err := a.o.Storage.Holds(r.Context())
		if err != nil {
			replyError(w, err)
			return
		}
		reply(w, l)
	})
	order := func(do func(context.Context, adminapi.HoldOrder) (adminapi.HoldAnswer, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var o adminapi.HoldOrder
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder)).Decode(&o); err != nil || o.Name == "" {
				replyError(w, rookery.E("read order", rookery.KindInvalid, errors.Join(errors.New("a hold needs a name"), err)))
				return
			}
			a, err := do(r.Context(), o)
			if err != nil {
				replyError(w, err)
				return
			}
			reply(w, a)
		}
	}
	t.changes("POST /v1/storage/hold", "backup hold", order(func(ctx context.Context, o adminapi.HoldOrder) (adminapi.HoldAnswer, error) {
		return a.o.Storage.PlaceHold(ctx, o)
	}))
	t.changes("POST /v1/storage/release", "backup unhold",
		order(func(ctx context.Context, o adminapi.HoldOrder) (adminapi.HoldAnswer, error) {
			return a.o.Storage.LiftHold(ctx, o.Name)
		}))
}
