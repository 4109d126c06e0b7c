package admin

import "net/http"

// storageRoutes adds what rookery storage asks a node for, a line an order;
// long ones answer through stream.
func (a *Server) storageRoutes(t *routes) {
	t.changesWhen("delete", "POST /v1/storage/sweep", "storage sweep",
		func(w http.ResponseWriter, r *http.Request) { stream(w, r, a.o.Storage.Sweep) })
	a.holdRoutes(t)
	t.changesWhen("repair", "POST /v1/storage/check", "storage check",
		func(w http.ResponseWriter, r *http.Request) { stream(w, r, a.o.Upkeep.Check) })
	t.changesWhen("repair", "POST /v1/storage/rebuild-index", "storage rebuild-index",
		func(w http.ResponseWriter, r *http.Request) { stream(w, r, a.o.Upkeep.RebuildIndex) })
}
