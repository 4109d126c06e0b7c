package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// Copies are those of the directories.
type Copies interface {
	Status() ([]adminapi.DirectoryCopy, error)
	Settle(ctx context.Context, name string, approve bool, number uint64) (adminapi.PendingSettled, error)
}

// directoryRoutes adds the orders of rookery directory.
func (a *Server) directoryRoutes(t *routes) {
	t.reads("GET /v1/directories", func(w http.ResponseWriter, _ *http.Request) {
		all, err := a.o.Copies.Status()
		answer(w, all, err)
	})
	settle := func(approve bool) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var o adminapi.PendingOrder
			if err := json.NewDecoder(r.Body).Decode(&o); err != nil {
				replyError(w, rookery.E("read order", rookery.KindInvalid, err))
				return
			}
			done, err := a.o.Copies.Settle(r.Context(), r.PathValue("name"), approve, o.Number)
			answer(w, done, err)
		}
	}
	t.changes("POST /v1/directories/{name}/approve", "directory approve", settle(true))
	t.changes("POST /v1/directories/{name}/reject", "directory reject", settle(false))
}
