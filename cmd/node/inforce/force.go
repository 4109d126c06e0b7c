package inforce

import (
	"context"
	"fmt"
	"strings"
	"time"

	"rookery"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/settings"
)

// putInForce has settings that Validate has checked asked for from now on.
func (s *Settings) putInForce(set *settings.Cluster, version uint64) {
	limits := set.Limits
	var postmaster rookery.Address
	if set.Postmaster != "" {
		postmaster, _ = rookery.ParseAddress(set.Postmaster) // checked by Validate
	}
	s.limits.Store(&limits)
	s.postmaster.Store(&postmaster)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version, s.stored, s.why = version, 0, nil
}

func (s *Settings) refuse(stored uint64, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stored, s.why = stored, why
}

// Limits are those in force, once First has found some.
func (s *Settings) Limits() settings.Limits { return *s.limits.Load() }

// Postmaster takes what is for postmaster@ any domain.
func (s *Settings) Postmaster() rookery.Address { return *s.postmaster.Load() }

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

// usable are the stored settings, or why this node cannot use them.
func (s *Settings) usable() (settings.Cluster, uint64, error) {
	set, version, err := s.Local()
	if err == nil && version > 0 {
		err = set.Validate(s.machine)
	}
	return set, version, err
}

// First are those that a node starts with: the stored ones or, where
// they cannot be used here, the last that could.
func (s *Settings) First() (settings.Cluster, uint64, error) {
	set, version, err := s.usable()
	if err == nil {
		s.putInForce(&set, version)
		return set, version, nil
	}
	former, at, kerr := s.Last()
	if kerr == nil {
		kerr = former.Validate(s.machine)
	}
	if kerr != nil {
		return set, version, fmt.Errorf("version %d of the settings cannot be used on this node: %w; nor are there former ones to "+
			"start with: %w", version, err, kerr)
	}
	s.putInForce(&former, at)
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
		set, version, err := s.usable()
		if err == nil && version == s.Version() && s.Trouble() == "" {
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
		s.putInForce(&set, version)
		s.Keep(version)
		s.o.Logger.Info("settings are in force", "version", version)
	}, replicas.TopicSettings)
}
