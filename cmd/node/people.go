package node

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/directory/ldap"
)

// people is the directory of the settings in force. It stays the same value
// for the protocols while settings come and go.
type people struct {
	logger *slog.Logger

	mu      sync.RWMutex
	current directory.Directory
	opened  []*ldap.Directory
}

func newPeople(logger *slog.Logger) *people { return &people{logger: logger} }

// use opens the directories of the settings and puts them in the place of the
// former ones. Where they cannot be opened the former ones stay.
func (p *people) use(ctx context.Context, s *Settings) error {
	var members []directory.Member
	var opened []*ldap.Directory
	fail := func(err error) error {
		for _, d := range opened {
			d.Close()
		}
		return err
	}
	for _, name := range s.directoryNames() {
		d, err := ldap.Open(ctx, ldapConfig(name, s), p.logger)
		if err != nil {
			return fail(err)
		}
		opened = append(opened, d)
		set := s.Directories[name]
		members = append(members, directory.Member{Name: name, Directory: d, Prefixes: set.Prefixes, Realms: set.Realms})
	}
	set, err := directory.NewSet(p.logger, members...)
	if err != nil {
		return fail(err)
	}
	p.mu.Lock()
	old := p.opened
	p.current, p.opened = directory.NewCache(set, directory.CacheOptions{}), opened
	p.mu.Unlock()
	for _, d := range old {
		if err := d.Close(); err != nil {
			p.logger.Warn("close directory", "error", err)
		}
	}
	return nil
}

func ldapConfig(name string, s *Settings) ldap.Config {
	d := s.Directories[name]
	c := ldap.Default()
	c.Name, c.URLs, c.Base, c.BindDN, c.Password = name, d.URLs, d.Base, d.BindDN, d.Password
	c.Profile, c.StartTLS, c.CAFile, c.Prefixes = d.Profile, d.StartTLS, d.CAFile, d.Prefixes
	c.Attributes.UserFilter = d.UserFilter
	c.Domains = d.Domains
	if len(c.Domains) == 0 {
		c.Domains = s.Domains
	}
	c.Domains = slices.DeleteFunc(slices.Clone(c.Domains), func(x string) bool {
		return !slices.ContainsFunc(s.Domains, func(y string) bool { return strings.EqualFold(x, y) })
	})
	if d.Fingerprint != "" {
		c.Fingerprints = []string{d.Fingerprint}
	}
	if t, err := time.ParseDuration(d.Timeout); err == nil {
		c.OperationTimeout, c.DialTimeout = t, min(t, c.DialTimeout)
	}
	return c
}

func (p *people) now() (directory.Directory, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.current == nil {
		return nil, rookery.E("ask directory", rookery.KindUnavailable,
			errors.New("no directory is set up; see: rookery config sample"))
	}
	return p.current, nil
}

// Recipient is directory.Directory's.
func (p *people) Recipient(ctx context.Context, addr rookery.Address) (directory.Entry, error) {
	d, err := p.now()
	if err != nil {
		return directory.Entry{}, err
	}
	return d.Recipient(ctx, addr)
}

// Authenticate is directory.Directory's.
func (p *people) Authenticate(ctx context.Context, login, password string) (directory.Entry, error) {
	d, err := p.now()
	if err != nil {
		return directory.Entry{}, err
	}
	return d.Authenticate(ctx, login, password)
}

// Local is directory.Directory's.
func (p *people) Local(domain string) bool {
	d, err := p.now()
	return err == nil && d.Local(domain)
}

func (p *people) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, d := range p.opened {
		errs = append(errs, d.Close())
	}
	p.current, p.opened = nil, nil
	return errors.Join(errs...)
}
