package keyring

import (
	"context"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/storage/system"
)

// dropSettingsKeys forgets the versions before the one in use where nothing
// needs them here any more: all secrets are sealed anew, and every node that
// lives uses the new one in gossip.
func (s *Service) dropSettingsKeys(ctx context.Context) error {
	t := s.settingsRing
	var old []uint32
	for _, v := range t.Keys.Versions() {
		if v < t.Keys.Current() {
			old = append(old, v)
		}
	}
	if len(old) == 0 || s.o.Settings.Trouble() != "" { // the settings in force may be older ones, sealed under these
		return nil
	}
	for _, x := range s.sealed() {
		if done, err := x.SealedAnew(); err != nil || !done {
			return err
		}
	}
	nodes, err := s.system.Nodes()
	if err != nil || len(s.behindSettingsKey(nodes, s.o.Reports.All(system.MemberIDs(nodes)))) > 0 {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.forget(ctx, old)
}

// behindSettingsKey names the nodes that live and do not use this node's
// version yet.
func (s *Service) behindSettingsKey(nodes []system.Node, reports map[rookery.NodeID]peers.Report) (names []string) {
	for _, x := range nodes {
		if x.Member() && s.o.Lives.Alive(x.ID) && reports[x.ID].SettingsKey < s.settingsRing.Keys.Current() {
			names = append(names, x.Name)
		}
	}
	return names
}

// SettingsKeyStatus is which version is in use, and which nodes do not use it yet.
func (s *Service) SettingsKeyStatus(nodes []system.Node, reports map[rookery.NodeID]peers.Report,
	problem func(string, ...any)) adminapi.SettingsKeyStatus {
	records, err := s.system.SettingsKeys()
	if err != nil {
		problem("settings key: %v", err)
	}
	a := adminapi.SettingsKeyStatus{Version: s.settingsRing.Keys.Current(), Waits: []string{}}
	a.Waits = append(a.Waits, s.behindSettingsKey(nodes, reports)...)
	if len(a.Waits) > 0 && s.o.Clock().Sub(time.Unix(0, system.InUse(records).Since)) > rekeyWait {
		problem("the change of the settings key waits for nodes that live and do not take it: %v; look at their logs, or restart them", a.Waits)
	}
	return a
}
