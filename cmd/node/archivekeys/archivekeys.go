// Package archivekeys holds the keys under which this cluster's backup is sealed.
//
// It owns when one is made, and the opened keys in this node's memory. They lie in the
// system group, sealed under the settings key. It never shows a key, and writes none
// to the backup.
package archivekeys

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"

	"rookery"
	"rookery/storage/archivekey"
	"rookery/storage/command"
)

// Log has the system group agree on commands; replicas.Replicas does.
type Log interface {
	ProposeSystem(ctx context.Context, c command.Command) (command.Result, error)
}

// Source gives the sealed keys; system.Machine does.
type Source interface {
	ArchiveKeys() (archivekey.Keys, error)
}

// Sealer closes and opens them; keyring.Sealer does.
type Sealer interface {
	Seal(place, secret string) (string, error)
	Open(place, sealed string) (string, error)
	IsCurrent(sealed string) bool
}

// Service gives the keys. It is safe for concurrent use.
type Service struct {
	log    Log
	source Source
	sealer Sealer

	mu   sync.Mutex
	open map[uint32][]byte
}

// New makes a Service.
func New(log Log, source Source, sealer Sealer) *Service {
	return &Service{log: log, source: source, sealer: sealer, open: map[uint32][]byte{}}
}

func place(version uint32) string { return fmt.Sprintf("archive key %d", version) }

// Current is the version in use and its key, which is made where there is none yet.
// KindUnavailable: the system group does not answer.
func (s *Service) Current(ctx context.Context) (version uint32, key []byte, err error) {
	all, err := s.source.ArchiveKeys()
	if err == nil && len(all.Keys) == 0 {
		if err = s.make(ctx); err == nil {
			all, err = s.source.ArchiveKeys()
		}
	}
	if err != nil {
		return 0, nil, err
	}
	if len(all.Keys) == 0 {
		return 0, nil, rookery.E("seal backup", rookery.KindUnavailable, errors.New("the cluster has no key for its backup yet"))
	}
	version = all.Keys[len(all.Keys)-1].Version
	key, err = s.key(all, version)
	return version, key, err
}

// make makes the first key, unless another node has.
func (s *Service) make(ctx context.Context) error {
	b := make([]byte, 32)
	defer clear(b)
	rand.Read(b)
	sealed, err := s.sealer.Seal(place(1), base64.StdEncoding.EncodeToString(b))
	if err != nil {
		return err
	}
	_, err = s.log.ProposeSystem(ctx, &command.SetArchiveKeys{Keys: []command.ArchiveKey{{Version: 1, Sealed: sealed}}})
	if rookery.Is(err, rookery.KindConflict) {
		return nil
	}
	return err
}

// Key is the key of a version. KindNotFound: the cluster has none of that version.
func (s *Service) Key(_ context.Context, version uint32) ([]byte, error) {
	all, err := s.source.ArchiveKeys()
	if err != nil {
		return nil, err
	}
	return s.key(all, version)
}

func (s *Service) key(all archivekey.Keys, version uint32) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.open[version]; k != nil {
		return k, nil
	}
	for _, k := range all.Keys {
		if k.Version != version {
			continue
		}
		text, err := s.sealer.Open(place(version), k.Sealed)
		if err != nil {
			return nil, err
		}
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(b) != 32 {
			return nil, rookery.E("open backup", rookery.KindDamaged, fmt.Errorf("version %d of the archive's key is damaged", version))
		}
		s.open[version] = b
		return b, nil
	}
	return nil, rookery.E("open backup", rookery.KindNotFound,
		fmt.Errorf("it is sealed under version %d of the archive's key, which this cluster does not have", version))
}

// SealedAnew reports whether all keys are sealed under the version of the settings key
// in use here.
func (s *Service) SealedAnew() (bool, error) {
	all, err := s.source.ArchiveKeys()
	return err == nil && !slices.ContainsFunc(all.Keys, func(k command.ArchiveKey) bool { return !s.sealer.IsCurrent(k.Sealed) }), err
}

// SealAnew seals them so.
func (s *Service) SealAnew(ctx context.Context) error {
	all, err := s.source.ArchiveKeys()
	if err != nil {
		return err
	}
	keys := slices.Clone(all.Keys)
	for i, k := range keys {
		if s.sealer.IsCurrent(k.Sealed) {
			continue
		}
		text, err := s.sealer.Open(place(k.Version), k.Sealed)
		if err != nil {
			return err
		}
		if keys[i].Sealed, err = s.sealer.Seal(place(k.Version), text); err != nil {
			return err
		}
	}
	if slices.Equal(keys, all.Keys) {
		return nil
	}
	_, err = s.log.ProposeSystem(ctx, &command.SetArchiveKeys{Version: all.Version, Keys: keys})
	return err
}
