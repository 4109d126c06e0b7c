package backups

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"rookery"
	"rookery/storage/blob"
	"rookery/storage/command"
)

// keysPrefix begins the names of the objects that hold the archive's keys.
const keysPrefix = "keys/"

// KeptKeys are the archive's keys as they lie in the backup store: sealed under the
// settings key, which the recovery kit has. With all nodes gone they open the archive.
type KeptKeys struct {
	Cluster string               `json:"cluster"`
	Keys    []command.ArchiveKey `json:"keys"`
}

// keepKeys has the backup store hold the archive's keys as they are sealed now, and
// nothing older, where this node leads the cluster.
func (s *Service) keepKeys(ctx context.Context) {
	store := s.store.Load()
	if store == nil || !s.o.Replicas.Leads(rookery.SystemGroup) {
		return
	}
	if err := s.writeKeys(ctx, store); err != nil && ctx.Err() == nil {
		s.o.Logger.Warn("the archive's keys are not in the backup store as they are now; trying again", "error", err)
	}
}

func (s *Service) writeKeys(ctx context.Context, store blob.Store) error {
	keys, err := s.o.SealedKeys()
	if err != nil || len(keys.Keys) == 0 {
		return err
	}
	b, err := json.Marshal(KeptKeys{s.o.Cluster, keys.Keys})
	if err != nil {
		return rookery.E("keep keys", rookery.KindInvalid, err)
	}
	name := fmt.Sprintf("%s%x.json", keysPrefix, sha256.Sum256(b))
	there, others := false, []string{}
	if err := store.List(ctx, keysPrefix, func(i blob.Info) error {
		if i.Key == name {
			there = true
		} else {
			others = append(others, i.Key)
		}
		return nil
	}); err != nil {
		return err
	}
	if !there {
		if err := store.Put(ctx, name, bytes.NewReader(b), int64(len(b)), blob.PutOptions{}); err != nil {
			return err
		}
		if _, err := store.Stat(ctx, name); err != nil {
			return err
		}
	}
	if len(others) == 0 {
		return nil
	}
	return store.Delete(ctx, others...)
}
