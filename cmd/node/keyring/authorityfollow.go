package keyring

import (
	"context"
	"errors"
	"time"

	"rookery"
	"rookery/cluster/transport/identity"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/storage/command"
	"rookery/storage/system"
)

// followAuthority has this node trust and use the authorities as the system
// group says, and takes a change on where it leads that group.
func (s *Service) followAuthority(ctx context.Context) {
	changed := s.replicas.Listen(replicas.TopicPlacement)
	told := ""
	for {
		busy, err := s.stepAuthority(ctx)
		why := ""
		if err != nil && ctx.Err() == nil {
			if why = err.Error(); why != told {
				s.o.Logger.Warn("the cluster's CA could not be brought up to date; trying again", "error", err)
			}
		}
		told = why
		wait := settingsEvery
		if busy {
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

// stepAuthority takes this node, and the change, as far as they go; busy says
// that there is one.
func (s *Service) stepAuthority(ctx context.Context) (busy bool, err error) {
	all, err := s.system.Authorities()
	if err != nil {
		return false, err
	}
	var trusted [][]byte
	for _, a := range all {
		if a.State != command.AuthorityDropped {
			trusted = append(trusted, a.Certificate)
		}
	}
	if len(trusted) > 0 { // before anybody shows a certificate by a new one
		err = s.o.Peers.Trust(identity.CertificatesPEM(trusted...))
	}
	if err = errors.Join(err, s.authorityRing.Sync(ctx)); err != nil || len(trusted) == 0 {
		return len(trusted) > 1, err
	}
	if use := newestInUse(all); use.Version == s.authorityRing.Keys.Current() &&
		identity.FingerprintOf(use.Certificate) != s.o.Peers.Certificate().Issuer() {
		if err := s.o.Peers.Renew(); err != nil {
			return true, err
		}
		s.o.Logger.Info("this node has a certificate by the new CA of the cluster", "version", use.Version)
	}
	return len(trusted) > 1, s.leadAuthority(ctx, all)
}

func newestInUse(all []system.Authority) (use system.Authority) {
	for _, a := range all {
		if a.State == command.AuthorityInUse {
			use = a
		}
	}
	return use
}

// leadAuthority takes a change to its next step when every member is done with
// the last.
func (s *Service) leadAuthority(ctx context.Context, all []system.Authority) error {
	if !changing(all) || !s.replicas.Leads(rookery.SystemGroup) {
		return nil
	}
	nodes, err := s.replicas.Members()
	if err != nil {
		return err
	}
	if waits, _ := authorityWaits(all, nodes, s.o.Reports.All(system.MemberIDs(nodes))); len(waits) > 0 {
		return nil
	}
	use := newestInUse(all)
	for _, a := range all {
		next := command.SetAuthority{Version: a.Version, Fingerprint: a.Fingerprint, Certificate: a.Certificate}
		switch {
		case a.State == command.AuthorityTrusted:
			next.State = command.AuthorityInUse
		case a.State == command.AuthorityInUse && a.Version < use.Version:
			next.State = command.AuthorityDropped
		default:
			continue
		}
		if _, err := s.replicas.ProposeSystem(ctx, &next); err != nil {
			return err
		}
		s.o.Logger.Info("the cluster's CA", "version", next.Version, "state", authorityStates[next.State])
	}
	return nil
}

var authorityStates = map[command.AuthorityState]string{
	command.AuthorityTrusted: "trusted", command.AuthorityInUse: "in use", command.AuthorityDropped: "dropped",
}

// authorityWaits names the members that a change waits for, and says for what.
func authorityWaits(all []system.Authority, nodes []system.Node, reports map[rookery.NodeID]peers.Report) (names []string, what string) {
	if !changing(all) {
		return nil, ""
	}
	newest := all[len(all)-1]
	what = adminapi.AuthorityTrusting
	if newest.State == command.AuthorityInUse {
		what = adminapi.AuthorityRenewing
	}
	for _, x := range nodes {
		r := reports[x.ID]
		if x.Member() && (r.Trusts < newest.Version || what == adminapi.AuthorityRenewing && r.IssuedBy != newest.Version) {
			names = append(names, x.Name)
		}
	}
	return names, what
}

// Authority is how far a change of the CA is.
func (s *Service) Authority() (a adminapi.AuthorityStatus, err error) {
	a = adminapi.AuthorityStatus{Version: s.authorityRing.Keys.Current(), Waits: []string{}}
	all, err := s.system.Authorities()
	if err != nil || len(all) == 0 {
		return a, err
	}
	nodes, err := s.replicas.Members()
	if err != nil {
		return a, err
	}
	waits, what := authorityWaits(all, nodes, s.o.Reports.All(system.MemberIDs(nodes)))
	a.Version, a.Stage, a.Waits = newestInUse(all).Version, what, append(a.Waits, waits...)
	if newest := all[len(all)-1]; what != "" {
		a.Next = newest.Version
		a.Since = time.Unix(0, max(newest.Began, newest.Since)).UTC()
	}
	return a, nil
}

// AuthorityTrouble says that a change of the CA waits for long, empty where
// nothing does.
func (s *Service) AuthorityTrouble(problem func(string, ...any)) adminapi.AuthorityStatus {
	a, err := s.Authority()
	if err != nil {
		problem("cluster CA: %v", err)
	}
	if len(a.Waits) > 0 && s.o.Clock().Sub(a.Since) > rekeyWait {
		problem("the change of the cluster CA waits for nodes %v, each of which has to %s: start them or look at their logs; one that is gone "+
			"for ever is taken off with rookery remove", a.Waits, a.Stage)
	}
	return a
}
