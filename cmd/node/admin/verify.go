package admin

import (
	"context"
	"net/http"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// Verifier reads the archive back; backups.Service does.
type Verifier interface {
	// Verify tells what is wrong as adminapi.VerifyEvents. The zero account is all.
	Verify(ctx context.Context, account rookery.AccountID, o adminapi.VerifyOrder, event func(any) error) error
}

// verifyRoutes adds rookery backup verify. It changes nothing and shows no mail, but
// reads a lot: the audit has who asked for that.
func (a *Server) verifyRoutes(t *routes) {
	t.changes("POST /v1/backup/verify", "backup verify", func(w http.ResponseWriter, r *http.Request) {
		stream(w, r, func(ctx context.Context, o adminapi.VerifyOrder, event func(any) error) (err error) {
			var id rookery.AccountID
			if o.Account != "" {
				if id, err = a.account(ctx, o.Account); err != nil {
					return err
				}
			}
			return a.o.Backup.Verify(ctx, id, o, event)
		})
	})
}
