package keyring

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"rookery"
	"rookery/cluster/transport/identity"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/datadir"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/system"
)

// Changing the cluster's CA is the cluster's own work once it has begun, and all
// of it is in the state: every node trusts the new one besides the old; when all
// do, it comes into use and every node takes a certificate by it; when all have
// one, the old is dropped and its key forgotten. No step is taken before the
// last member has said that it is done with the one before.

// RotateAuthority begins a change of the cluster's CA. Where one is under way it
// says how far that is. A node that is away holds it up, so it is refused then
// unless force is set; KindUnavailable.
func (s *Service) RotateAuthority(ctx context.Context, force bool) (a adminapi.AuthorityStatus, err error) {
	const op = "change cluster CA"
	if err := s.replicas.Barrier(ctx, rookery.SystemGroup); err != nil {
		return a, err
	}
	if err := s.replicas.LearnMembers(); err != nil {
		return a, err
	}
	all, err := s.system.Authorities()
	if err != nil {
		return a, err
	}
	if changing(all) {
		return s.Authority()
	}
	nodes, err := s.replicas.Members()
	if err != nil {
		return a, err
	}
	if away := s.away(nodes); len(away) > 0 && !force {
		return a, rookery.E(op, rookery.KindUnavailable, fmt.Errorf("these nodes are away and the old CA stays until each has a certificate "+
			"by the new one: %s; start them, take them off with rookery remove, or begin all the same with -force", strings.Join(away, ", ")))
	}
	if err := s.beginAuthority(ctx, nodes, all); err != nil {
		return a, rookery.E(op, 0, err)
	}
	return s.Authority()
}

// changing reports whether more than one authority is trusted.
func changing(all []system.Authority) bool {
	count := 0
	for _, a := range all {
		if a.State != command.AuthorityDropped {
			count++
		}
	}
	return count > 1
}

func (s *Service) away(nodes []system.Node) (names []string) {
	for _, x := range nodes {
		if x.ID != s.o.Self && !s.o.Lives.Alive(x.ID) {
			names = append(names, x.Name)
		}
	}
	return names
}

// beginAuthority makes a new authority, brings its key to every node that lives,
// and only then has it trusted.
func (s *Service) beginAuthority(ctx context.Context, nodes []system.Node, all []system.Authority) error {
	now, err := datadir.Dir(s.authorityRing.dataDir).Authority(s.tenant.Keys)
	if err != nil {
		return err
	}
	ring := s.authorityRing
	if len(all) == 0 { // from here on there is a record of the one that the cluster began with
		first, ok := ring.Keys.Tenant(ring.Keys.Current())
		if !ok {
			return rookery.E("read cluster CA", rookery.KindUnavailable, errors.New("its key is not here; ask another node"))
		}
		defer first.Clear()
		if err := s.setAuthority(ctx, &first, now.Certificate(), command.AuthorityInUse); err != nil {
			return err
		}
	}
	next, err := now.Successor(s.o.Clock())
	if err != nil {
		return err
	}
	secret, err := next.Secret()
	if err != nil {
		return err
	}
	defer clear(secret)
	held, _ := ring.heldBy(ctx, nodes)
	top := ring.Keys.Current()
	for _, h := range held {
		for v := range h.Held {
			top = max(top, v)
		}
	}
	key, err := keys.ParseTenantKey(top+1, secret)
	if err != nil {
		return err
	}
	defer key.Clear()
	if err := s.enoughHave(nodes, ring.spread(ctx, nodes, key)); err != nil {
		return err
	}
	if err := s.setAuthority(ctx, &key, next.Certificate(), command.AuthorityTrusted); err != nil {
		return err
	}
	s.o.Logger.Info("the cluster's CA changes; every node is to trust the new one first", "version", key.Version)
	return nil
}

func (s *Service) setAuthority(ctx context.Context, key *keys.TenantKey, cert []byte, state command.AuthorityState) error {
	_, err := s.replicas.ProposeSystem(ctx, &command.SetAuthority{
		Version: key.Version, Fingerprint: key.Fingerprint(), Certificate: cert, State: state,
	})
	return err
}

// AuthorityVersions are the newest version of the CA that this node trusts, and
// the one that issued its certificate; 0 before the CA is changed for the first
// time.
func (r *Rings) AuthorityVersions() (trusts, issuedBy uint32) {
	all, err := r.Tenant.replicas.System().Authorities()
	if err != nil {
		return 0, 0
	}
	id := r.Tenant.peers.Certificate()
	for _, a := range all {
		if id.Trusts(a.Certificate) {
			trusts = max(trusts, a.Version)
		}
		if identity.FingerprintOf(a.Certificate) == id.Issuer() {
			issuedBy = a.Version
		}
	}
	return trusts, issuedBy
}
