package inforce

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"rookery"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/settings"
)

// putInForce has settings that Validate has checked asked for from now on.
func (s *Settings) putInForce(set *settings.Cluster, version uint64, over []byte) {
	limits := set.Limits
	var postmaster rookery.Address
	if set.Postmaster != "" {
		postmaster, _ = rookery.ParseAddress(set.Postmaster) // checked by Validate
	}
	s.limits.Store(&limits)
	outbound := set.Outbound
	s.outbound.Store(&outbound)
	backup := set.Backup
	s.backup.Store(&backup)
	submission := set.Submission
	s.submission.Store(&submission)
	relaying := set.Relay
	s.relay.Store(&relaying)
	s.postmaster.Store(&postmaster)
	catchAll := map[string]rookery.Address{}
	for _, x := range set.CatchAll {
		domain, to, _ := settings.ParseCatchAll(x) // checked by Validate
		catchAll[domain] = to
	}
	s.catchAll.Store(&catchAll)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version, s.over, s.stored, s.why = version, over, 0, nil
}

func (s *Settings) refuse(stored uint64, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored, s.why = stored, why
}

// Limits are those in force, once First has found some.
func (s *Settings) Limits() settings.Limits { return *s.limits.Load() }

// Outbound says how mail goes to other systems, once First has found some.
func (s *Settings) Outbound() settings.Outbound { return *s.outbound.Load() }

// Backup says where the archive is kept, once First has found some.
func (s *Settings) Backup() settings.Backup { return *s.backup.Load() }

// Submission bounds what users send, once First has found some.
func (s *Settings) Submission() *settings.Submission { return s.submission.Load() }

// Relay says who may relay, once First has found some.
func (s *Settings) Relay() settings.Relay { return *s.relay.Load() }

// Postmaster takes what is for postmaster@ any domain.
func (s *Settings) Postmaster() rookery.Address { return *s.postmaster.Load() }

// CatchAll gets what is for nobody in a domain; zero: nobody does.
func (s *Settings) CatchAll(domain string) rookery.Address { return (*s.catchAll.Load())[domain] }

// MessageSize is the largest message that is accepted, in bytes.
func (s *Settings) MessageSize() int64 { return int64(s.Limits().MessageSize) }

// tryEvery is how often a node tries settings again that it could not use.
const tryEvery = time.Minute

// Version is the one in force.
func (s *Settings) Version() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// inForce reports whether these are, and nothing is wrong with them.
func (s *Settings) inForce(version uint64, over []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return version == s.version && bytes.Equal(over, s.over) && s.why == nil
}

// Trouble is why the stored settings are not in force, empty where they are.
func (s *Settings) Trouble() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == nil {
		return ""
	}
	return fmt.Sprintf("version %d of the settings is not in force, the node goes on with what it used before (version %d): %s",
		s.stored, s.version, strings.ReplaceAll(s.why.Error(), "\n", "; "))
}

// Overridden says which of the settings in force are this node's alone, and
// how that ends; empty where all are the cluster's.
func (s *Settings) Overridden() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys, err := settings.OverrideKeys(s.over)
	if err != nil || len(keys) == 0 {
		return ""
	}
	return fmt.Sprintf("it uses settings of its own in place of the cluster's: %s; mend the cluster's with rookery config set, then run "+
		"there: rookery config override -remove -data %s", strings.Join(keys, ", "), s.o.DataDir)
}

// usable are the stored settings with what this node has of its own put over
// them, or why this node cannot use them.
func (s *Settings) usable() (set settings.Cluster, version uint64, over []byte, err error) {
	set, version, err = s.Local()
	if err != nil || version == 0 {
		return set, version, nil, err
	}
	if over, err = datadir.Dir(s.o.DataDir).Override(); err != nil {
		return set, version, nil, err
	}
	if len(over) > 0 {
		if err := set.Override(over); err != nil {
			return set, version, nil, fmt.Errorf("%s: %w", datadir.Dir(s.o.DataDir).OverridePath(), err)
		}
	}
	return set, version, over, set.Validate(s.machine)
}

// First are those that a node starts with: the stored ones or, where
// they cannot be used here, the last that could.
func (s *Settings) First() (settings.Cluster, uint64, error) {
	set, version, over, err := s.usable()
	if err == nil {
		s.putInForce(&set, version, over)
		return set, version, nil
	}
	former, at, kerr := s.Last()
	if kerr == nil {
		kerr = former.Validate(s.machine)
	}
	if kerr != nil {
		return set, version, fmt.Errorf("version %d of the settings cannot be used on this node: %w; nor are there former ones to "+
			"start with: %w. Give this machine what they name, mend them on a node that runs (rookery config set), or, where none does, "+
			"let this node use others: rookery config override -data %s KEY VALUE", version, err, kerr, s.o.DataDir)
	}
	s.putInForce(&former, at, nil)
	s.refuse(version, err)
	s.o.Logger.Error("the settings cannot be used; the node starts with the last that could be", "version", version, "using", at, "error", err)
	return former, at, nil
}

// Run puts changed settings into force by use, until ctx ends. Directories,
// domains, the way to the object store and limits change at once; the rest at
// the next start. Those that cannot be used leave the former ones in force, and
// are tried again: a file may be put where they name it.
func (s *Settings) Run(ctx context.Context, use func(context.Context, *settings.Cluster) error) error {
	return s.o.Replicas.Follow(ctx, tryEvery, func() {
		set, version, over, err := s.usable()
		if err == nil && s.inForce(version, over) {
			return
		}
		if err == nil && version > 0 {
			err = use(ctx, &set)
		}
		if err != nil {
			s.refuse(version, err)
			s.o.Logger.Error("settings could not be put into force; the former ones stay", "version", version, "error", err)
			return
		}
		s.putInForce(&set, version, over)
		s.Keep(version)
		s.o.Logger.Info("settings are in force", "version", version)
	}, replicas.TopicSettings)
}
