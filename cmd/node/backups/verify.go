package backups

import (
	"context"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/backups/readback"
	"rookery/storage/command"
)

// Verify reads the archive back; see readback.Run. KindUnavailable: there is no backup.
func (s *Service) Verify(ctx context.Context, account rookery.AccountID, o adminapi.VerifyOrder, event func(any) error) error {
	store, err := s.use()
	if err != nil {
		return err
	}
	set := s.o.Settings()
	return readback.Run(ctx, readback.Options{
		Cluster: s.o.Cluster, DataDir: s.o.DataDir, Store: store, Live: s.o.Live, Keys: s.o.Keys, Accounts: s.o.Accounts,
		SealedKeys: s.o.SealedKeys, KeysPrefix: keysPrefix,
		KeptKeys: func(ctx context.Context) ([]command.ArchiveKey, error) {
			k, err := ReadKeys(ctx, store, s.o.Cluster)
			return k.Keys, err
		},
		Beside: []string{keysPrefix, generations, "c/", "check/"}, Rules: rulesOf(&set), Now: s.o.Now, Room: s.o.Room,
		Groups: func() ([]rookery.GroupID, error) {
			groups, err := s.o.Replicas.Placed()
			return append(groups, rookery.SystemGroup), err
		},
	}, account, o, event)
}
