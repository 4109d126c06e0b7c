package inforce

import (
	"context"
	"fmt"
	"maps"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/storage/command"
)

// Write replaces the settings if they are still at version. Secrets that read
// Hidden stay as they were. Directories named in orphan may leave accounts behind.
func (s *Settings) Write(ctx context.Context, next settings.Cluster, version uint64, orphan ...string) (uint64, error) {
	old, at, err := s.Read(ctx)
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
	if err := next.Validate(s.machine); err != nil {
		return 0, err
	}
	if err := s.refuseOrphans(&old, &next, orphan); err != nil {
		return 0, err
	}
	next.MakeIDs()
	doc, err := s.sealedDocument(next)
	if err != nil {
		return 0, err
	}
	if _, err := s.o.Replicas.ProposeSystem(ctx, &command.SetSettings{Version: version, Document: []byte(doc)}); err != nil {
		return 0, err
	}
	return version + 1, nil
}
