package admin

import (
	"context"
	"net/http"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// Exporter reads the messages that an account had out of the archive;
// backups.Service does.
type Exporter interface {
	// Export tells of them as adminapi.ExportEvents, and sums them up for the audit.
	Export(ctx context.Context, id rookery.AccountID, o adminapi.ExportOrder, event func(any) error) (sum string, err error)
}

// exportRoutes adds rookery backup export. It changes nothing, but shows mail to others
// than its owner: the audit has who read what, and why.
func (a *Server) exportRoutes(t *routes) {
	t.changes("POST /v1/backup/export", "backup export", func(w http.ResponseWriter, r *http.Request) {
		stream(w, r, func(ctx context.Context, o adminapi.ExportOrder, event func(any) error) error {
			id, err := a.account(ctx, o.Account)
			if err != nil {
				return err
			}
			sum, err := a.o.Backup.Export(ctx, id, o, event)
			noteDetail(w, sum)
			return err
		})
	})
}
