package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// Backup archives and restores; backups.Service does. Accounts are ids.
type Backup interface {
	Status(ctx context.Context) (adminapi.BackupStatus, error)
	ArchiveNow(ctx context.Context) (adminapi.BackupStatus, error)
	List(ctx context.Context) (adminapi.BackupList, error)
	Prune(ctx context.Context, o adminapi.PruneOrder) (adminapi.PruneReport, error)
	Find(ctx context.Context, id rookery.AccountID, o adminapi.FindOrder) (adminapi.FoundMessages, error)
	Plan(ctx context.Context, id, to rookery.AccountID, o adminapi.RestoreOrder) (adminapi.RestorePlan, error)
	Begin(ctx context.Context, id, to rookery.AccountID, o adminapi.RestoreOrder, by string) (adminapi.RestoreJob, error)
	Restores(ctx context.Context) ([]adminapi.RestoreJob, error)
	Cancel(ctx context.Context, id string) (adminapi.RestoreJob, error)
	Exporter
	Verifier
}

// backupRoutes adds the orders of rookery backup and rookery restore.
func (a *Server) backupRoutes(t *routes) {
	t.reads("GET /v1/backup", func(w http.ResponseWriter, r *http.Request) {
		s, err := a.o.Backup.Status(r.Context())
		answer(w, s, err)
	})
	t.changes("POST /v1/backup/run", "backup run", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).SetReadDeadline(time.Time{})
		s, err := a.o.Backup.ArchiveNow(r.Context())
		answer(w, s, err)
	})
	t.reads("GET /v1/backup/list", func(w http.ResponseWriter, r *http.Request) {
		l, err := a.o.Backup.List(r.Context())
		answer(w, l, err)
	})
	t.changes("POST /v1/backup/prune", "backup prune", func(w http.ResponseWriter, r *http.Request) {
		var o adminapi.PruneOrder
		if order(w, r, &o) {
			p, err := a.o.Backup.Prune(r.Context(), o)
			answer(w, p, err)
		}
	})
	t.changes("POST /v1/backup/find", "backup find", func(w http.ResponseWriter, r *http.Request) {
		var o adminapi.FindOrder
		if !order(w, r, &o) {
			return
		}
		id, err := a.account(r.Context(), o.Account)
		if err != nil {
			replyError(w, err)
			return
		}
		f, err := a.o.Backup.Find(r.Context(), id, o)
		answer(w, f, err)
	})
	t.changes("POST /v1/restores/plan", "restore plan", func(w http.ResponseWriter, r *http.Request) {
		if o, id, to, ok := a.restoreOrder(w, r); ok {
			p, err := a.o.Backup.Plan(r.Context(), id, to, o)
			answer(w, p, err)
		}
	})
	t.changes("POST /v1/restores", "restore", func(w http.ResponseWriter, r *http.Request) {
		if o, id, to, ok := a.restoreOrder(w, r); ok {
			by, _ := principalFrom(r.Context())
			j, err := a.o.Backup.Begin(r.Context(), id, to, o, by.name)
			answer(w, j, err)
		}
	})
	t.reads("GET /v1/restores", func(w http.ResponseWriter, r *http.Request) {
		all, err := a.o.Backup.Restores(r.Context())
		answer(w, all, err)
	})
	t.changes("POST /v1/restores/{id}/cancel", "restore cancel", func(w http.ResponseWriter, r *http.Request) {
		j, err := a.o.Backup.Cancel(r.Context(), r.PathValue("id"))
		answer(w, j, err)
	})
}

// restoreOrder reads an order for a restore, and finds its accounts.
func (a *Server) restoreOrder(w http.ResponseWriter, r *http.Request) (o adminapi.RestoreOrder, id, to rookery.AccountID, ok bool) {
	if !order(w, r, &o) {
		return o, id, to, false
	}
	id, err := a.account(r.Context(), o.Account)
	if to = id; err == nil && o.To != "" {
		to, err = a.account(r.Context(), o.To)
	}
	if err != nil {
		replyError(w, err)
		return o, id, to, false
	}
	return o, id, to, true
}

// order reads an order, which may take longer than others.
func order(w http.ResponseWriter, r *http.Request, into any) bool {
	http.NewResponseController(w).SetReadDeadline(time.Time{}) // else the server's would end the order
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		replyError(w, rookery.E("read order", rookery.KindInvalid, err))
		return false
	}
	return true
}

func answer(w http.ResponseWriter, x any, err error) {
	if err != nil {
		replyError(w, err)
		return
	}
	reply(w, x)
}
