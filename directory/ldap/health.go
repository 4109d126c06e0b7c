package ldap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery/directory/ldap/result"
)

// Back-off between probes of a server that is down.
const (
	minBackoff = 250 * time.Millisecond
	maxBackoff = 10 * time.Second
)

// watch probes the server until Close. Only probes bring a server back, so a
// dead one costs callers nothing.
func (s *server) watch() {
	wait := minBackoff
	timer := time.NewTimer(0)
	defer timer.Stop()
	first := true
	for {
		select {
		case <-s.d.ctx.Done():
			return
		case <-timer.C:
		case <-s.kick:
			wait = minBackoff
		}
		err := s.probe(s.d.ctx)
		if err == nil {
			s.revive()
		} else {
			s.fail(err)
		}
		if first {
			s.d.probes <- err == nil
			first = false
		}
		if err == nil {
			wait = minBackoff
			timer.Reset(s.d.cfg.HealthInterval)
			continue
		}
		timer.Reset(wait)
		wait = min(2*wait, maxBackoff)
	}
}

// fail notes why the server is down, without asking for another probe.
func (s *server) fail(err error) {
	s.mu.Lock()
	was := s.err
	s.err = err
	s.mu.Unlock()
	if (was == nil || errors.Is(was, errNotProbed)) && s.d.ctx.Err() == nil {
		s.d.logger.Warn("directory server does not answer", "server", s.url, "error", err)
	}
	for _, sl := range slices.Concat(s.slots[:]...) {
		if c := sl.c.Load(); c != nil && c.bad.Load() {
			sl.c.CompareAndSwap(c, nil)
		}
	}
}

// probe asks what only a working server can answer: its rootDSE, and the
// search base. The second also finds a service account that has lost its
// rights, which would turn every user into "no such user".
func (s *server) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.d.cfg.DialTimeout+s.d.cfg.OperationTimeout)
	defer cancel()
	root, err := s.searchAs(ctx, forSignIns, baseRequest("", rootAttributes...), true)
	if err != nil {
		return result.Explain(err)
	}
	if len(root.Entries) != 1 {
		return errors.New("the server shows no rootDSE")
	}
	base, err := s.searchAs(ctx, forSignIns, baseRequest(s.d.cfg.Base, "1.1"), true)
	if err != nil || len(base.Entries) != 1 {
		if err == nil {
			err = errors.New("it is not shown")
		}
		return fmt.Errorf("base %s does not exist there, or the service account may not read it: %w", s.d.cfg.Base, result.Explain(err))
	}
	if s.d.profile.Load() == nil {
		return s.detect(ctx, root.Entries[0])
	}
	return nil
}

// detect settles the profile once, for all servers.
func (s *server) detect(ctx context.Context, root *goldap.Entry) error {
	name := s.d.cfg.Profile
	if name == "auto" {
		name = profileOf(root)
	}
	p, err := newProfile(name, s.d.cfg)
	if err != nil {
		return err
	}
	if name == "ad" {
		p.prefixes = append(p.prefixes, s.netbiosNames(ctx, root)...)
		p.realms = append(p.realms, realmOf(root.GetAttributeValue("defaultNamingContext")))
	}
	if s.d.profile.CompareAndSwap(nil, p) {
		s.d.logger.Info("directory profile settled", "server", s.url, "profile", name, "prefixes", p.prefixes)
	}
	return nil
}

// netbiosNames asks Active Directory for the DOMAIN of DOMAIN\user. Without
// an answer such logins need the prefixes setting.
func (s *server) netbiosNames(ctx context.Context, root *goldap.Entry) []string {
	partitions := "CN=Partitions," + root.GetAttributeValue("configurationNamingContext")
	filter := "(&(objectClass=crossRef)(nCName=" + goldap.EscapeFilter(root.GetAttributeValue("defaultNamingContext")) + "))"
	res, err := s.searchAs(ctx, forSignIns, goldap.NewSearchRequest(partitions, goldap.ScopeSingleLevel, goldap.NeverDerefAliases,
		10, 5, false,
		filter, []string{"nETBIOSName"}, nil), true)
	if err != nil {
		s.d.logger.Warn(`cannot learn the domain's NetBIOS name: DOMAIN\user logins need the prefixes setting`, "error", err)
		return nil
	}
	var names []string
	for _, e := range res.Entries {
		names = append(names, e.GetAttributeValues("nETBIOSName")...)
	}
	return names
}

func baseRequest(dn string, attrs ...string) *goldap.SearchRequest {
	return goldap.NewSearchRequest(dn, goldap.ScopeBaseObject, goldap.NeverDerefAliases, 1, 0, false, "(objectClass=*)", attrs, nil)
}

// Health is how one server is.
type Health struct {
	URL string
	Up  bool
	Err error // why it is down
}

// Health tells about every server, in configured order.
func (d *Directory) Health() []Health {
	var all []Health
	for _, s := range d.servers {
		err := s.down()
		all = append(all, Health{URL: s.url, Up: err == nil, Err: err})
	}
	return all
}

// Profile is the profile in use, empty while it is not known.
func (d *Directory) Profile() string {
	if p := d.profile.Load(); p != nil {
		return p.name
	}
	return ""
}

// Prefixes are the DOMAIN names of DOMAIN\user logins, configured or learnt;
// empty while no server has answered.
func (d *Directory) Prefixes() []string {
	if p := d.profile.Load(); p != nil {
		return slices.Clone(p.prefixes)
	}
	return slices.Clone(d.cfg.Prefixes)
}
