package inforce

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/directories"
	"rookery/cmd/node/keyring"
	"rookery/cmd/node/objects"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/settings"
)

// How long a node tries changed settings, and for how long the one that was
// asked waits for the others.
const (
	trialTime = 10 * time.Second
	trialWait = 12 * time.Second
)

// Change is Write after a trial: the directories and the object store that the
// change touches are tried from this node and then, where that went well, from
// every other one that answers. So a wrong password costs one sign-in, and what
// works on one machine only is refused. force leaves the trial out.
func (s *Settings) Change(ctx context.Context, next settings.Cluster, version uint64, force bool, orphan ...string) (uint64, error) {
	if !force {
		if err := s.try(ctx, next); err != nil {
			return 0, err
		}
	}
	return s.Write(ctx, next, version, orphan...)
}

func (s *Settings) try(ctx context.Context, next settings.Cluster) error {
	old, _, err := s.Read(ctx)
	if err != nil {
		return err
	}
	next.Directories = maps.Clone(next.Directories)
	next.KeepIDs(&old)
	if err := next.KeepSecrets(&old); err != nil {
		return err
	}
	if err := next.Validate(s.machine); err != nil {
		return err
	}
	t := touched(&old, &next)
	if len(t.Directories) == 0 && !t.Store {
		return nil
	}
	problems := s.tryHere(ctx, &next, t)
	if len(problems) == 0 {
		if t.Document, err = s.sealedDocument(next); err != nil {
			return err
		}
		problems = s.tryElsewhere(ctx, t)
	}
	if len(problems) == 0 {
		return nil
	}
	return rookery.E("try settings", rookery.KindDenied,
		fmt.Errorf("%s. Nothing was changed; mend it, or write the settings all the same with -force", strings.Join(problems, "; ")))
}

// touched are the directories and the store that next opens in another way.
func touched(old, next *settings.Cluster) (t peers.SettingsTrial) {
	for _, name := range next.DirectoryNames() {
		_, had := old.Directories[name]
		if !had || !reflect.DeepEqual(directories.Config(name, old), directories.Config(name, next)) {
			t.Directories = append(t.Directories, name)
		}
	}
	t.Store = old.Store != next.Store
	return t
}

// sealedDocument is the text of settings as they are stored.
func (s *Settings) sealedDocument(set settings.Cluster) (string, error) {
	set.Directories = maps.Clone(set.Directories)
	err := set.EachSecret(func(key string, v *string) (err error) {
		if *v != "" && !keyring.IsSealed(*v) {
			*v, err = s.o.Sealer.Seal(key, *v)
		}
		return err
	})
	if err != nil {
		return "", err
	}
	doc, err := set.Document()
	return string(doc), err
}

// tryHere tries from this node and says what does not work.
func (s *Settings) tryHere(ctx context.Context, set *settings.Cluster, t peers.SettingsTrial) (problems []string) {
	ctx, cancel := context.WithTimeout(ctx, trialTime)
	defer cancel()
	for _, name := range t.Directories {
		if c := checkDirectory(ctx, name, set, s.o.Dial, s.o.Logger); c.Err != nil {
			problems = append(problems, fmt.Sprintf("directory %s cannot be used from node %s: %v", name, s.o.Node, cause(c.Err)))
		}
	}
	if t.Store {
		if set.Store.Kind == "dir" {
			defer objects.RemoveMade(objects.Path(&set.Store, s.o.DataDir))()
		}
		if c := checkStore(ctx, &set.Store, s.o.DataDir); c.Err != nil {
			problems = append(problems, fmt.Sprintf("the object store cannot be used from node %s: %v", s.o.Node, cause(c.Err)))
		}
	}
	return problems
}

// cause is an error without the name of what failed, which the reader has.
func cause(err error) error {
	var e *rookery.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err
	}
	return err
}

// tryElsewhere asks all other members that live. One that does not answer, or
// is too old to know the question, has no say.
func (s *Settings) tryElsewhere(ctx context.Context, t peers.SettingsTrial) (problems []string) {
	ctx, cancel := context.WithTimeout(ctx, trialWait)
	defer cancel()
	nodes, err := s.system.Nodes()
	if err != nil {
		return []string{fmt.Sprintf("the nodes cannot be read: %v", err)}
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, x := range nodes {
		if x.ID == s.o.Self || !x.Member() {
			continue
		}
		all.Go(func() {
			said, err := peers.TrySettings.Ask(ctx, s.o.Peers, x.ID, t)
			if err != nil {
				s.o.Logger.Info("a node was not asked whether it can use new settings", "node", x.Name, "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			problems = append(problems, said...)
		})
	}
	all.Wait()
	return problems
}

// Serve answers other nodes' trials.
func (s *Settings) Serve() {
	peers.TrySettings.Serve(s.o.Peers, func(ctx context.Context, _ rookery.NodeID, t peers.SettingsTrial) (peers.TrialResult, error) {
		set, err := s.open([]byte(t.Document))
		if err != nil {
			return nil, err
		}
		if err := set.Validate(s.machine); err != nil {
			return peers.TrialResult{fmt.Sprintf("node %s: %v", s.o.Node, cause(err))}, nil
		}
		return s.tryHere(ctx, &set, t), nil
	})
}
