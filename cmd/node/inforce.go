package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"rookery/cmd/node/replicas"
	"rookery/cmd/node/settings"
)

// triesSettings is how often a node tries settings again that it could not use.
const triesSettings = time.Minute

// inForce is which settings this node works by, and why not by the stored ones.
type inForce struct {
	mu      sync.Mutex
	version uint64
	stored  uint64 // the version that cannot be used
	why     error  // nil where the stored ones are in force
}

func (f *inForce) use(version uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version, f.stored, f.why = version, 0, nil
}

func (f *inForce) refuse(stored uint64, why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stored, f.why = stored, why
}

// at is the version in force.
func (f *inForce) at() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.version
}

// trouble is why the stored settings are not in force, empty where they are.
func (f *inForce) trouble() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.why == nil {
		return ""
	}
	return fmt.Sprintf("version %d of the settings is not in force, the node goes on with what it used before (version %d): %s",
		f.stored, f.version, strings.ReplaceAll(f.why.Error(), "\n", "; "))
}

// usable are the stored settings, or why this node cannot use them.
func (n *Node) usable() (settings.Cluster, uint64, error) {
	set, version, err := n.settings.local()
	if err == nil && version > 0 {
		err = set.Validate(n.settings.on)
	}
	return set, version, err
}

// firstSettings are those that a node starts with: the stored ones or, where
// they cannot be used here, the last that could.
func (n *Node) firstSettings() (settings.Cluster, uint64, error) {
	set, version, err := n.usable()
	if err == nil {
		n.inForce.use(version)
		return set, version, nil
	}
	former, at, kerr := n.keptSettings()
	if kerr == nil {
		kerr = former.Validate(n.settings.on)
	}
	if kerr != nil {
		return set, version, fmt.Errorf("version %d of the settings cannot be used on this node: %w; nor are there former ones to start with: %w", version, err, kerr)
	}
	n.inForce.use(at)
	n.inForce.refuse(version, err)
	n.deps.Logger.Error("the settings cannot be used; the node starts with the last that could be", "version", version, "using", at, "error", err)
	return former, at, nil
}

// followSettings puts changed settings into force: at once, where the tag
// "effect" of a setting's field says nothing else. Those that cannot be used
// leave the former ones in force, and are tried again: a file may be put where
// they name it.
func (n *Node) followSettings(ctx context.Context) error {
	return n.groups.Follow(ctx, triesSettings, func() {
		set, version, err := n.usable()
		if err == nil && version == n.inForce.at() && n.inForce.trouble() == "" {
			return
		}
		if err == nil && version > 0 {
			err = n.useSettings(ctx, &set)
		}
		if err != nil {
			n.inForce.refuse(version, err)
			n.deps.Logger.Error("settings could not be put into force; the former ones stay", "version", version, "error", err)
			return
		}
		n.inForce.use(version)
		n.keepSettings(version)
		n.deps.Logger.Info("settings are in force", "version", version)
	}, replicas.TopicSettings)
}

func (n *Node) useSettings(ctx context.Context, set *settings.Cluster) error {
	if err := errors.Join(n.people.Use(ctx, set), n.objects.Reopen(set.Store)); err != nil {
		return err
	}
	n.live.use(set)
	n.objects.UseGarbage(&set.Garbage)
	n.registry.UsePolicy(set.Replication, set.DeadAfter())
	return nil
}
