package ldap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/directory/ldap/result"
)

// Greeting is what a server tells of itself.
type Greeting struct {
	// Bases are its naming contexts, the default one first; none where it
	// tells strangers nothing.
	Bases []string
	// Profile is the one it looks like; empty where it tells nothing.
	Profile string
}

// Reach tries the addresses and TLS of a configuration before the rest of it
// is known: it connects to every server as a stranger. KindUnavailable: one of
// them cannot be used, and the error says which, why, and the mend.
func Reach(ctx context.Context, cfg Config) (Greeting, error) {
	cfg.BindDN = ""
	return greet(ctx, "reach directory", cfg, true)
}

// SignIn tries the service account at every server.
func SignIn(ctx context.Context, cfg Config) (Greeting, error) {
	return greet(ctx, "sign in to directory", cfg, false)
}

// greet reads every server's rootDSE. A stranger may be refused it.
func greet(ctx context.Context, op string, cfg Config, stranger bool) (g Greeting, err error) {
	d, err := unwatched(cfg)
	if err != nil {
		return g, err
	}
	defer d.Close()
	for _, s := range d.servers {
		c, err := s.dialService(ctx)
		if err != nil {
			return g, rookery.E(op, rookery.KindUnavailable, fmt.Errorf("%s: %w", s.url, result.Explain(err)))
		}
		root, err := s.searchOn(ctx, c, baseRequest("", rootAttributes...))
		c.discard()
		_, answered := result.Code(err)
		switch {
		case err != nil && !(stranger && answered):
			return g, rookery.E(op, rookery.KindUnavailable, fmt.Errorf("%s: %w", s.url, result.Explain(err)))
		case err != nil || len(root.Entries) != 1 || len(g.Bases) > 0:
			continue
		}
		e := root.Entries[0]
		g.Profile = profileOf(e)
		if own := e.GetAttributeValue("defaultNamingContext"); own != "" {
			g.Bases = append(g.Bases, own)
		}
		for _, b := range e.GetAttributeValues("namingContexts") {
			if holdsPeople(b) && (len(g.Bases) == 0 || b != g.Bases[0]) {
				g.Bases = append(g.Bases, b)
			}
		}
	}
	return g, nil
}

// holdsPeople reports that a naming context is none that servers keep about
// themselves: their configuration, their monitor, their log of changes.
func holdsPeople(base string) bool {
	switch first, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(base, " ", "")), ","); first {
	case "cn=accesslog", "cn=config", "cn=monitor", "cn=changelog", "cn=schema", "cn=subschema", "cn=configuration",
		"dc=domaindnszones", "dc=forestdnszones":
		return false
	}
	return true
}

// Found is what a search for accounts came upon.
type Found struct {
	Accounts int
	More     bool            // the search was ended when it had seen enough
	Address  rookery.Address // one of theirs
	Profile  string
}

// enough accounts show that a search works.
const enough = 1000

// Sample searches the base for accounts with an address. KindNotFound: there
// are none, which is a wrong base, profile or user filter.
func Sample(ctx context.Context, cfg Config) (f Found, err error) {
	const op = "search directory"
	d, err := unwatched(cfg)
	if err != nil {
		return f, err
	}
	defer d.Close()
	for _, s := range d.servers {
		if err := s.probe(ctx); err != nil {
			return f, rookery.E(op, rookery.KindUnavailable, fmt.Errorf("%s: %w", s.url, err))
		}
		s.revive()
	}
	f.Profile = d.Profile()
	seen := errors.New("enough was seen")
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err = d.Walk(ctx, func(e directory.Entry) error {
		if f.Accounts == 0 {
			f.Address = e.Addresses[0]
		}
		if f.Accounts++; f.Accounts == enough {
			f.More = true
			return seen
		}
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, seen):
		return f, err
	case f.Accounts == 0:
		return f, rookery.E(op, rookery.KindNotFound, fmt.Errorf(
			"no entry below %s is an account with a mail address for the profile %s; check base, profile and user_filter", cfg.Base, f.Profile))
	}
	return f, nil
}

// unwatched is a directory whose servers nobody watches, for one try.
func unwatched(cfg Config) (*Directory, error) {
	cfg = cfg.withDefaults()
	for _, u := range cfg.URLs {
		if err := cfg.checkURL(u); err != nil {
			return nil, rookery.E("check directory settings", rookery.KindInvalid, err)
		}
	}
	return assemble(cfg, slog.New(slog.DiscardHandler))
}
