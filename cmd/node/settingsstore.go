package node

import (
	"context"
	"fmt"
	"maps"

	"rookery"
	"rookery/cmd/node/keyring"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/settings"
	"rookery/storage/command"
	"rookery/storage/propose"
	"rookery/storage/system"
)

// settingsStore reads and writes the settings in the system group. Secrets
// are sealed in what it writes and open in what it gives.
type settingsStore struct {
	groups *replicas.Replicas
	system *system.Machine
	sealer *keyring.Sealer
	force  *inForce
	on     settings.Checker // of this node's machine
}

// read gives the settings as this node has them now, after a barrier, and
// their version; 0 and the defaults where none were ever written.
func (s *settingsStore) read(ctx context.Context) (settings.Cluster, uint64, error) {
	if err := s.groups.Barrier(ctx, rookery.SystemGroup); err != nil {
		return settings.Cluster{}, 0, err
	}
	return s.local()
}

// local is read without the barrier.
func (s *settingsStore) local() (settings.Cluster, uint64, error) {
	version, doc, err := s.system.Settings()
	if err != nil || version == 0 {
		return settings.Default(), version, err
	}
	set, err := s.open(doc)
	return set, version, err
}

// open reads a document with sealed secrets.
func (s *settingsStore) open(doc []byte) (settings.Cluster, error) {
	set, err := settings.Parse(doc)
	if err != nil {
		return set, err
	}
	err = set.EachSecret(func(key string, v *string) (err error) {
		if *v != "" {
			*v, err = s.sealer.Open(key, *v)
		}
		return err
	})
	return set, err
}

// SealedAnew reports whether all secrets are sealed under the version of the
// settings key in use here.
func (s *settingsStore) SealedAnew() (bool, error) {
	version, doc, err := s.system.Settings()
	if err != nil || version == 0 {
		return err == nil, err
	}
	set, err := settings.Parse(doc)
	if err != nil {
		return false, err
	}
	anew := true
	err = set.EachSecret(func(_ string, v *string) error {
		anew = anew && (*v == "" || s.sealer.IsCurrent(*v))
		return nil
	})
	return anew, err
}

// write replaces the settings if they are still at version. Secrets that read
// Hidden stay as they were. Directories named in orphan may leave accounts behind.
func (s *settingsStore) write(ctx context.Context, next settings.Cluster, version uint64, orphan ...string) (uint64, error) {
	old, at, err := s.read(ctx)
	if err != nil {
		return 0, err
	}
	if at != version {
		return 0, rookery.E("change settings", rookery.KindConflict,
			fmt.Errorf("they are at version %d, not %d: somebody changed them; look at the difference and try again", at, version))
	}
	next.Directories = maps.Clone(next.Directories) // the caller's stays as it is, with open secrets
	next.KeepIDs(&old)
	if err := next.KeepSecrets(&old); err != nil {
		return 0, err
	}
	if err := next.Validate(s.on); err != nil {
		return 0, err
	}
	if err := s.refuseOrphans(&old, &next, orphan); err != nil {
		return 0, err
	}
	next.MakeIDs()
	err = next.EachSecret(func(key string, v *string) (err error) {
		if *v != "" && !keyring.IsSealed(*v) {
			*v, err = s.sealer.Seal(key, *v)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	doc, err := next.Document()
	if err != nil {
		return 0, err
	}
	if _, _, err := propose.Command(ctx, s.groups, rookery.SystemGroup, &command.SetSettings{Version: version, Document: doc}); err != nil {
		return 0, err
	}
	return version + 1, nil
}

// SealAnew seals all secrets under the version of the settings key in use here.
func (s *settingsStore) SealAnew(ctx context.Context) error {
	set, version, err := s.read(ctx)
	if err == nil {
		_, err = s.write(ctx, set, version)
	}
	return err
}

// Trouble is why the stored settings are not in force, empty where they are.
func (s *settingsStore) Trouble() string { return s.force.trouble() }
