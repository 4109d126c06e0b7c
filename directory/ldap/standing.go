package ldap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery"
	"rookery/directory"
)

// MaxStanding bounds the keys of one Standing.
const MaxStanding = 100

// Standing says of entries, by their keys, how they stand, with one search. Of a
// key of another directory it says nothing. An error, KindUnavailable, is that
// nothing can be said of any: an answer that was cut short is none.
func (d *Directory) Standing(ctx context.Context, keys []string) (map[string]directory.Standing, error) {
	const op = "look up entries"
	if len(keys) > MaxStanding {
		return nil, rookery.E(op, rookery.KindInvalid, fmt.Errorf("%d keys, at most %d", len(keys), MaxStanding))
	}
	asked := map[string]directory.Standing{}
	for _, key := range keys {
		if id, name, _ := strings.Cut(key, "/"); id == or(d.cfg.ID, d.cfg.Name) && name != "" {
			asked[key] = directory.Gone
		}
	}
	if len(asked) == 0 {
		return asked, nil
	}
	ctx, cancel := d.deadline(ctx)
	defer cancel()
	var found []string
	err := d.try(ctx, func(ctx context.Context, s *server) error {
		p := d.profile.Load()
		if p == nil {
			return fmt.Errorf("%s has not told yet what kind of server it is", s.url)
		}
		res, err := s.search(ctx, forSignIns, p.standingRequest(d.cfg.Base, asked, d.cfg.OperationTimeout))
		if err != nil {
			return err
		}
		found, err = d.stand(p, res, asked)
		return err
	})
	if err != nil {
		return nil, rookery.E(op, rookery.KindUnavailable, fmt.Errorf("directory %q cannot say how entries stand: %w", d.cfg.Name, err))
	}
	for key := range asked {
		if !slices.Contains(found, key) {
			asked[key] = directory.Gone
		}
	}
	return asked, nil
}

// stand notes how the entries of an answer stand, and gives their keys.
func (d *Directory) stand(p *profile, res *goldap.SearchResult, asked map[string]directory.Standing) (found []string, err error) {
	for _, e := range res.Entries {
		name, err := p.key(e)
		if err != nil {
			return nil, err
		}
		key := or(d.cfg.ID, d.cfg.Name) + "/" + name
		if _, ok := asked[key]; !ok {
			continue
		}
		found = append(found, key)
		asked[key] = directory.Present
		if disabled(e, d.now()) != "" {
			asked[key] = directory.Disabled
		}
	}
	return found, nil
}

// standingRequest asks for what standing needs of the entries with these keys.
func (p *profile) standingRequest(base string, keys map[string]directory.Standing, limit time.Duration) *goldap.SearchRequest {
	var any strings.Builder
	for key := range keys {
		_, name, _ := strings.Cut(key, "/")
		any.WriteString(p.keyItems(name))
	}
	filter := "(&" + p.UserFilter + "(|" + any.String() + "))"
	return goldap.NewSearchRequest(base, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, 0,
		int(limit/time.Second)+1, false, filter, append(stateAttributes(), p.Key), nil)
}
