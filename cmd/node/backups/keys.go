package backups

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"rookery"
	"rookery/cmd/node/datadir"
	"rookery/storage/archivekey"
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
	// ForKit are the key files of the cluster, sealed to the newest recovery kit; none
	// where no kit is known.
	ForKit []byte `json:"for_kit,omitempty"`
}

// keptKeys are the keys that this node has seen to lie in the store.
type keptKeys struct {
	name  string
	store blob.Store
	at    time.Time
}

// lookAgain is how long it is believed that they still do.
const lookAgain = 10 * time.Minute

// keepKeys has the backup store hold the archive's keys as they are sealed now, and
// nothing older, where this node leads the cluster.
func (s *Service) keepKeys(ctx context.Context) {
	store := s.store.Load()
	if store == nil || !s.o.Replicas.Leads(rookery.SystemGroup) {
		return
	}
	why := ""
	if err := s.writeKeys(ctx, store); err != nil && ctx.Err() == nil {
		s.o.Logger.Warn("the cluster's keys are not in the backup store as they are now; trying again", "error", err)
		why = fmt.Sprintf("the cluster's keys are not in the backup store as they are now, without which a recovery kit opens nothing: %v", err)
	}
	s.keyless.Store(&why)
}

// ReadKeys reads the archive's keys that lie in a backup store. KindNotFound: there are
// none.
func ReadKeys(ctx context.Context, store blob.Store, cluster string) (k KeptKeys, err error) {
	const op = "read the archive's keys"
	var names []string
	if err := store.List(ctx, keysPrefix, func(i blob.Info) error {
		names = append(names, i.Key)
		return nil
	}); err != nil {
		return k, err
	}
	for _, name := range names {
		next, err := readKeys(ctx, store, name)
		if err != nil {
			return k, err
		}
		if next.Cluster == cluster && len(next.Keys) >= len(k.Keys) {
			k = next
		}
	}
	if len(k.Keys) == 0 {
		return k, rookery.E(op, rookery.KindNotFound, fmt.Errorf("the backup store has none of cluster %s below %s", cluster, keysPrefix))
	}
	return k, nil
}

func readKeys(ctx context.Context, store blob.Store, name string) (k KeptKeys, err error) {
	in, err := store.Get(ctx, name, 0, -1)
	if err != nil {
		return k, err
	}
	defer in.Close()
	if err := json.NewDecoder(io.LimitReader(in, maxKeys)).Decode(&k); err != nil {
		return k, rookery.E("read "+name, rookery.KindDamaged, errors.New("it is not what was written there"))
	}
	return k, nil
}

// maxKeys bounds the object that holds them, in bytes.
const maxKeys = 1 << 20

// Open gives a recovery kit the keys that are sealed to it, which are those in use. A kit
// that is older than the newest one keeps its own, where it has any.
func (k KeptKeys) Open(kit *datadir.Kit) error {
	if len(k.ForKit) == 0 && kit.Whole() {
		return nil
	}
	err := kit.Open(k.ForKit)
	if err != nil && kit.Whole() {
		return nil
	}
	return err
}

// ArchiveKeys implements archivekeys.Source.
func (k KeptKeys) ArchiveKeys() (archivekey.Keys, error) { return archivekey.Keys{Keys: k.Keys}, nil }

func (s *Service) writeKeys(ctx context.Context, store blob.Store) error {
	keys, err := s.o.SealedKeys()
	if err != nil || len(keys.Keys) == 0 {
		return err
	}
	k := KeptKeys{Cluster: s.o.Cluster, Keys: keys.Keys}
	b, err := json.Marshal(k)
	if err != nil {
		return rookery.E("keep keys", rookery.KindInvalid, err)
	}
	digest, seal, err := s.o.ForKit()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s%x.json", keysPrefix, sha256.Sum256(append(b, digest...)))
	if s.kept.name == name && s.kept.store == store && s.o.Clock().Sub(s.kept.at) < lookAgain {
		return nil
	}
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
		if seal != nil {
			if k.ForKit, err = seal(); err != nil {
				return err
			}
		}
		if b, err = json.Marshal(k); err != nil {
			return rookery.E("keep keys", rookery.KindInvalid, err)
		}
		if err := store.Put(ctx, name, bytes.NewReader(b), int64(len(b)), blob.PutOptions{}); err != nil {
			return err
		}
		if _, err := store.Stat(ctx, name); err != nil {
			return err
		}
	}
	if len(others) > 0 {
		if err := store.Delete(ctx, others...); err != nil {
			return err
		}
	}
	s.kept = keptKeys{name, store, s.o.Clock()}
	return nil
}
