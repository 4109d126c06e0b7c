package keyring

import (
	"context"
	"fmt"
	"strings"
	"time"

	"rookery/cmd/node/datadir"
	"rookery/storage/command"
	"rookery/storage/system"
)

// kitEvery is how often a node looks for the note of a new recovery kit.
const kitEvery = 2 * time.Second

// kitOf is what a kit of a directory has, where its files are still those that
// went into it; found is false else. One with the private half alone has what is in
// use, whenever that is.
func (s *Stored) kitOf(dir datadir.Dir) (k system.Kit, found bool) {
	note := dir.KitNote()
	if note.Made == 0 || !note.Alone && !dir.Matches(note) {
		return k, false
	}
	return system.Kit{
		Tenant: s.tenant.keys.Current(), Settings: s.settings.keys.Current(), Authority: s.authority.keys.Current(), Made: note.Made,
		Public: note.Public, Alone: note.Alone,
	}, true
}

// followKit tells the cluster of recovery kits that were written of this
// directory: while the node runs, or before it started.
func (s *Service) followKit(ctx context.Context) {
	if k := s.kit; k != nil {
		s.tellOfKit(ctx, *k)
	}
	dir := datadir.Dir(s.tenant.dataDir)
	here := Stored{
		tenant: stored{keys: s.tenant.Keys}, settings: stored{keys: s.settingsRing.Keys}, authority: stored{keys: s.authorityRing.Keys},
	}
	s.replicas.Follow(ctx, kitEvery, func() {
		if known, err := s.system.Kit(); err != nil || dir.KitNote().Made <= known.Made {
			return
		}
		if k, found := here.kitOf(dir); found {
			s.tellOfKit(ctx, k)
		}
	})
}

func (s *Service) tellOfKit(ctx context.Context, k system.Kit) {
	_, err := s.replicas.ProposeSystem(ctx, &command.NoteKit{Tenant: k.Tenant, Settings: k.Settings, Authority: k.Authority, Made: k.Made,
		Public: k.Public, Alone: k.Alone})
	if err != nil && ctx.Err() == nil {
		s.o.Logger.Info("a new recovery kit could not be noted; trying again", "error", err)
	}
}

// KitTrouble says which keys in use the newest known recovery kit lacks, empty
// where it has them all. A cluster whose kit nobody noted has the first one.
func (s *Service) KitTrouble() (string, error) {
	known, err := s.system.Kit()
	if err != nil || known.Alone {
		return "", err // the keys in use lie in the backup store
	}
	var lacks []string
	for _, k := range []struct {
		name  string
		has   uint32
		inUse uint32
	}{
		{"tenant key", known.Tenant, s.tenant.Keys.Current()}, {"settings key", known.Settings, s.settingsRing.Keys.Current()},
		{"the cluster CA's key", known.Authority, s.authorityRing.Keys.Current()},
	} {
		if k.inUse > max(k.has, 1) {
			lacks = append(lacks, fmt.Sprintf("%s %d", k.name, k.inUse))
		}
	}
	if len(lacks) == 0 {
		return "", nil
	}
	of := "the recovery kit"
	if known.Made > 0 {
		of += " of " + time.Unix(known.Made, 0).UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("%s is older than the last change of keys and lacks %s, without which a lost cluster does not come back whole: "+
		"write a new one with rookery key kit FILE, keep it off the cluster, and destroy the older ones", of, strings.Join(lacks, " and ")), nil
}
