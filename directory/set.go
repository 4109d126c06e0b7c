package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"rookery"
)

// Member is one directory of a Set.
type Member struct {
	// Name is the directory's name, as in logs.
	Name string
	// Directory answers for the member.
	Directory Directory
	// Prefixes are the DOMAIN names of DOMAIN\user logins that belong here
	// (NetBIOS domain names); case does not matter. A Directory with a method
	// Prefixes() []string adds those it has learnt.
	Prefixes []string
	// Realms are login domains (user@realm) that belong here besides the
	// mail domains: Active Directory's UPN suffixes.
	Realms []string
}

// Set is a Directory made of several: one per forest or company. Addresses go
// to the members whose domain it is, logins by DOMAIN prefix or domain. A
// domain may be shared; an address or login that two members claim is an
// alarm and KindUnavailable, never "first wins", and so is one that a member
// cannot rule out, by itself or by a complete copy of it.
type Set struct {
	members []Member
	logger  *slog.Logger
}

// NewSet joins directories. Names must be unique and not empty, a prefix
// must belong to one member only: else KindInvalid.
func NewSet(logger *slog.Logger, members ...Member) (*Set, error) {
	if err := Distinct(members...); err != nil {
		return nil, err
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Set{members: slices.Clone(members), logger: logger}, nil
}

// Distinct refuses members that NewSet does not join: KindInvalid. It looks at
// their names and prefixes only.
func Distinct(members ...Member) error {
	fail := func(format string, a ...any) error {
		return rookery.E("join directories", rookery.KindInvalid, fmt.Errorf(format, a...))
	}
	names, prefixes := map[string]bool{}, map[string]string{}
	for _, m := range members {
		if m.Name == "" || names[m.Name] {
			return fail("directory name %q: give each directory its own name", m.Name)
		}
		names[m.Name] = true
		for _, p := range m.Prefixes {
			p = strings.ToUpper(p)
			if other, taken := prefixes[p]; taken {
				return fail(`prefix %s\ belongs to the directories %q and %q: leave it to one`, p, other, m.Name)
			}
			prefixes[p] = m.Name
		}
	}
	return nil
}

// Local reports whether any member judges the domain.
func (s *Set) Local(domain string) bool {
	return slices.ContainsFunc(s.members, func(m Member) bool { return m.Directory.Local(domain) })
}

// Recipient asks every member that judges the domain.
func (s *Set) Recipient(ctx context.Context, addr rookery.Address) (Entry, error) {
	addr = Base(addr)
	var who []Member
	for _, m := range s.members {
		if m.Directory.Local(addr.Domain) {
			who = append(who, m)
		}
	}
	if len(who) == 0 {
		return Entry{}, rookery.E("look up recipient", rookery.KindNotFound, fmt.Errorf("%s is not a local domain", addr.Domain))
	}
	e, _, err := s.one(who, "look up recipient", addr.String(), func(m Member) (Entry, error) {
		return m.Directory.Recipient(ctx, addr)
	})
	return e, err
}

// Find names the entry behind a login.
func (s *Set) Find(ctx context.Context, login string) (Entry, error) {
	e, _, err := s.locate(ctx, login)
	return e, err
}

// Authenticate lets exactly one member check the password.
func (s *Set) Authenticate(ctx context.Context, login, password string) (Entry, error) {
	if err := CheckPassword(password); err != nil {
		return Entry{}, err
	}
	l, err := ParseLogin(login)
	if err != nil {
		return Entry{}, err
	}
	who := s.route(l)
	if len(who) == 1 {
		return who[0].Directory.Authenticate(ctx, l.Text, password)
	}
	_, m, err := s.locate(ctx, login)
	switch {
	case rookery.Is(err, rookery.KindNotFound):
		return Entry{}, rookery.E("sign in", rookery.KindCredentials, errors.New("no directory knows the login"))
	case err != nil:
		return Entry{}, err
	}
	return m.Directory.Authenticate(ctx, l.Text, password)
}

func (s *Set) locate(ctx context.Context, login string) (Entry, Member, error) {
	l, err := ParseLogin(login)
	if err != nil {
		return Entry{}, Member{}, rookery.E("find login", rookery.KindNotFound, err)
	}
	return s.one(s.route(l), "find login", l.Text, func(m Member) (Entry, error) {
		return find(ctx, m.Directory, l.Text)
	})
}

// route gives the members a login may belong to.
func (s *Set) route(l Login) []Member {
	var who []Member
	for _, m := range s.members {
		switch {
		case l.Prefix != "":
			if m.owns(l.Prefix) {
				who = append(who, m)
			}
		case l.Domain != "":
			if m.Directory.Local(l.Domain) || slices.ContainsFunc(m.Realms, func(r string) bool { return strings.EqualFold(r, l.Domain) }) {
				who = append(who, m)
			}
		default:
			who = append(who, m)
		}
	}
	if l.Domain != "" && len(who) == 0 {
		// A user principal name may have any suffix: ask all.
		return s.members
	}
	return who
}

// owns reports whether DOMAIN\user logins of the prefix belong to the member,
// by its settings or because its directory knows its own name.
func (m Member) owns(prefix string) bool {
	all := slices.Concat(m.Prefixes, prefixes(m.Directory))
	return slices.ContainsFunc(all, func(p string) bool { return strings.EqualFold(p, prefix) })
}

// one asks members side by side and accepts a single hit with everybody else
// saying "not found".
func (s *Set) one(who []Member, op, what string, ask func(Member) (Entry, error)) (Entry, Member, error) {
	entries, errs := make([]Entry, len(who)), make([]error, len(who))
	var wg sync.WaitGroup
	for i, m := range who {
		wg.Go(func() { entries[i], errs[i] = ask(m) })
	}
	wg.Wait()
	hit := -1
	for i, err := range errs {
		switch {
		case err == nil && hit >= 0:
			s.logger.Error("two directories claim the same name: mail and logins for it are deferred until one gives it up",
				"name", what, "directory", who[hit].Name, "other", who[i].Name)
			return Entry{}, Member{}, rookery.E(op, rookery.KindUnavailable,
				fmt.Errorf("%s is claimed by the directories %q and %q: remove it from one", what, who[hit].Name, who[i].Name))
		case err == nil:
			hit = i
		}
	}
	for i, err := range errs {
		if hit >= 0 && errors.Is(err, ErrNotInCopy) {
			continue
		}
		if err != nil && !rookery.Is(err, rookery.KindNotFound) {
			return Entry{}, Member{}, rookery.E(op, rookery.KindUnavailable, fmt.Errorf("directory %q cannot say: %w", who[i].Name, err))
		}
	}
	if hit < 0 {
		return Entry{}, Member{}, rookery.E(op, rookery.KindNotFound, fmt.Errorf("nobody has the name %s", what))
	}
	return entries[hit], who[hit], nil
}
