package keyring

import (
	"context"
	"errors"
	"time"

	"rookery"
	"rookery/cmd/node/replicas"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/system"
)

// How often the settings key is compared: while it changes, and while
// nothing says that it changed.
const (
	rekeyEvery    = 500 * time.Millisecond
	settingsEvery = 10 * time.Second
	// RekeyCalm is for how long a node that has started changes no key: it does
	// not know yet who lives.
	RekeyCalm = 5 * time.Second
	// rekeyWait is after which time a change that waits is wrong.
	rekeyWait = time.Minute
)

// followSettingsKey keeps the ring and gossip at the version that the system
// group says is in use. Where this node leads it, it also changes the key when
// a node was removed, which knows the one of today, and has secrets sealed anew.
func (s *Service) followSettingsKey(ctx context.Context) {
	changed := s.replicas.Listen(replicas.TopicPlacement)
	for {
		err := s.settingsRing.Sync(ctx)
		if err == nil {
			err = errors.Join(s.leadSettingsKey(ctx), s.dropSettingsKeys(ctx), s.useGossipKeys())
		}
		if err != nil && ctx.Err() == nil {
			s.o.Logger.Warn("the settings key could not be brought up to date; trying again", "error", err)
		}
		wait := settingsEvery
		if err != nil || len(s.settingsRing.Keys.Versions()) > 1 {
			wait = rekeyEvery
		}
		select {
		case <-changed:
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

func (s *Service) useGossipKeys() error {
	keys, err := GossipKeys(s.settingsRing.Keys)
	if err != nil {
		return err
	}
	return s.o.Lives.UseKeys(keys)
}

// leadSettingsKey begins a change that is due, and has what an older version
// seals sealed anew.
func (s *Service) leadSettingsKey(ctx context.Context) error {
	if !s.replicas.Leads(rookery.SystemGroup) || time.Since(s.o.Lives.Started()) < RekeyCalm {
		return nil
	}
	due, err := s.rekeyDue()
	if err == nil && due {
		err = s.rotateSettingsKey(ctx)
	}
	if err != nil {
		return err
	}
	for _, x := range s.sealed() {
		done, err := x.SealedAnew()
		if err == nil && !done {
			err = x.SealAnew(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// sealed is all that the settings key seals in the log.
func (s *Service) sealed() []Sealed { return []Sealed{s.o.Settings, s.o.Signing, s.o.Archive} }

// rekeyDue reports whether a node was removed since the key came into use.
func (s *Service) rekeyDue() (bool, error) {
	records, err := s.system.SettingsKeys()
	if err != nil {
		return false, err
	}
	nodes, err := s.system.Nodes()
	for _, x := range nodes {
		if !x.Member() && x.Since > system.InUse(records).Since {
			return true, err
		}
	}
	return false, err
}

// rotateSettingsKey makes a new key, brings it to every node that lives, and
// only then has it used. The key is new with every attempt: one of an attempt
// that failed may be with a node that was removed since.
func (s *Service) rotateSettingsKey(ctx context.Context) error {
	if err := s.replicas.Barrier(ctx, rookery.SystemGroup); err != nil {
		return err
	}
	// Who was removed is cut off before anything of the new key is sent.
	if err := s.replicas.LearnMembers(); err != nil {
		return err
	}
	if self, err := s.system.Node(s.o.Self); err != nil || !self.Member() {
		// It may lead for a moment more, and its followers take what it sends.
		return errors.Join(err, rookery.E("change settings key", rookery.KindDenied, errors.New("this node was removed from the cluster")))
	}
	if due, err := s.rekeyDue(); err != nil || !due {
		return err
	}
	nodes, err := s.replicas.Members()
	if err != nil {
		return err
	}
	held, _ := s.settingsRing.heldBy(ctx, nodes)
	top := s.settingsRing.Keys.Current()
	for _, h := range held {
		for v := range h.Held {
			top = max(top, v)
		}
	}
	key := keys.NewTenantKey(top + 1)
	defer key.Clear()
	if err := s.enoughHave(nodes, s.settingsRing.spread(ctx, nodes, key)); err != nil {
		return rookery.E("change settings key", rookery.KindUnavailable, err)
	}
	if _, err := s.replicas.ProposeSystem(ctx, &command.SetSettingsKey{Version: key.Version, Fingerprint: key.Fingerprint()}); err != nil {
		return err
	}
	s.o.Logger.Info("a settings key came into use", "version", key.Version)
	return s.settingsRing.Sync(ctx)
}
