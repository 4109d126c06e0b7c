package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// keyRoutes adds the orders of rookery key and rookery account erase.
func (a *Server) keyRoutes(t *routes) {
	order := func(fn func(ctx context.Context, in adminapi.KeysBody) (any, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var in adminapi.KeysBody
			if r.Method == http.MethodPost {
				if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&in); err != nil {
					replyError(w, rookery.E("read order", rookery.KindInvalid, err))
					return
				}
			}
			// An order may take longer than a request to read.
			if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
				replyError(w, rookery.E("read order", rookery.KindUnavailable, err))
				return
			}
			out, err := fn(r.Context(), in)
			if err != nil {
				replyError(w, err)
				return
			}
			reply(w, out)
		}
	}
	t.reads("GET /v1/ca", order(func(context.Context, adminapi.KeysBody) (any, error) { return a.o.Keys.Authority() }))
	t.changes("POST /v1/ca/rotate", "ca rotate", func(w http.ResponseWriter, r *http.Request) {
		var in adminapi.AuthorityBody
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&in); err != nil {
			replyError(w, rookery.E("read order", rookery.KindInvalid, err))
			return
		}
		out, err := a.o.Keys.RotateAuthority(r.Context(), in.Force)
		if err != nil {
			replyError(w, err)
			return
		}
		reply(w, out)
	})
	t.reads("GET /v1/keys", order(func(ctx context.Context, _ adminapi.KeysBody) (any, error) { return a.o.Keys.Status(ctx) }))
	t.changes("POST /v1/keys/rotate", "key rotate",
		order(func(ctx context.Context, _ adminapi.KeysBody) (any, error) { return a.o.Keys.Rotate(ctx) }))
	t.changes("POST /v1/keys/destroy", "key destroy", order(func(ctx context.Context, in adminapi.KeysBody) (any, error) {
		destroyed, err := a.o.Keys.Destroy(ctx, in.Versions...)
		return adminapi.KeysBody{Versions: destroyed}, err
	}))
	t.changes("POST /v1/accounts/erase", "account erase", order(func(ctx context.Context, in adminapi.KeysBody) (any, error) {
		ids, err := a.o.Keys.Erase(ctx, in.Accounts)
		out := adminapi.KeysBody{}
		for _, id := range ids {
			out.Accounts = append(out.Accounts, id.String())
		}
		return out, err
	}))
}
