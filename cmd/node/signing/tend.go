package signing

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"rookery"
	"rookery/protocols/outbound/dkim"
	"rookery/protocols/outbound/publish"
	"rookery/storage/command"
	"rookery/storage/system"
)

const (
	// lookEvery is how often the record of a key that waits is looked for.
	lookEvery = time.Hour
	// lookWait bounds one look.
	lookWait = 20 * time.Second
)

// tend does for each domain what its keys need now.
func (s *Service) tend(ctx context.Context) error {
	rows, err := s.rows()
	if err != nil {
		return err
	}
	var errs []error
	fresh := false
	for _, domain := range slices.Sorted(maps.Keys(*s.domains.Load())) {
		if s.look(ctx, rows[domain]); !s.due(rows[domain]) {
			continue
		}
		if !fresh { // nothing is made that another leader has made
			if err := s.o.Groups.Barrier(ctx, rookery.SystemGroup); err != nil {
				return err
			}
			if rows, err = s.rows(); err != nil {
				return err
			}
			fresh = true
		}
		if err := s.change(ctx, domain, rows[domain]); err != nil && !rookery.Is(err, rookery.KindConflict) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *Service) rows() (map[string]system.SigningKeys, error) {
	all, err := s.o.Keys.SigningKeys()
	rows := make(map[string]system.SigningKeys, len(all))
	for _, x := range all {
		rows[x.Domain] = x
	}
	return rows, err
}

// due reports whether keys are to be changed.
func (s *Service) due(x system.SigningKeys) bool {
	return len(dkim.Next(entries(x.Keys), s.o.Schedule, s.o.Clock())) > 0
}

// change takes the steps that the keys of a domain need.
func (s *Service) change(ctx context.Context, domain string, x system.SigningKeys) error {
	now := s.o.Clock()
	keys := slices.Clone(x.Keys)
	for _, step := range dkim.Next(entries(keys), s.o.Schedule, now) {
		i := slices.IndexFunc(keys, func(k command.SigningKey) bool { return k.Selector == step.Selector })
		switch {
		case step.Change == dkim.Make:
			k, err := s.make(domain, step.Kind, keys, now)
			if err != nil {
				return err
			}
			keys = append(keys, k)
		case i < 0:
		case step.Change == dkim.Remove:
			keys = slices.Delete(keys, i, i+1)
		default:
			keys[i].State, keys[i].Since = uint8(stateAfter[step.Change]), now.UnixNano()
		}
	}
	if slices.Equal(keys, x.Keys) {
		return nil
	}
	if err := s.set(ctx, domain, x.Version, keys); err != nil {
		return err
	}
	s.o.Logger.Info("the DKIM keys of a domain were changed; see what to publish with: rookery dns "+domain, "domain", domain)
	return nil
}

func (s *Service) set(ctx context.Context, domain string, version uint64, keys []command.SigningKey) error {
	return s.o.Groups.Commit(ctx, rookery.SystemGroup, &command.SetSigningKeys{Domain: domain, Version: version, Keys: keys})
}

var stateAfter = map[dkim.Change]dkim.State{dkim.Activate: dkim.Active, dkim.Retire: dkim.Retired}

// make makes a key. Where none of its kind signs, it does at once: mail of a new
// cluster is signed from the beginning.
func (s *Service) make(domain string, kind dkim.Kind, have []command.SigningKey, now time.Time) (k command.SigningKey, err error) {
	private, err := dkim.Generate(kind)
	if err != nil {
		return k, err
	}
	k.Kind, k.Since, k.State = uint8(kind), now.UnixNano(), uint8(dkim.Active)
	for _, old := range have {
		if old.Kind == k.Kind && dkim.State(old.State) == dkim.Active {
			k.State = uint8(dkim.Prepared)
		}
	}
	k.Selector = dkim.Selector(kind, now, func(name string) bool {
		return slices.ContainsFunc(have, func(k command.SigningKey) bool { return k.Selector == name })
	})
	if k.Record, err = dkim.Record(private.Public()); err != nil {
		return k, err
	}
	der, err := dkim.MarshalKey(private)
	if err != nil {
		return k, err
	}
	k.Sealed, err = s.o.Sealer.Seal(place(domain, k.Selector), string(der))
	return k, err
}

// look notes whether the records of keys that wait are published. Where the DNS
// does not answer, what was known stays.
func (s *Service) look(ctx context.Context, x system.SigningKeys) {
	now := s.o.Clock()
	keys := slices.Clone(x.Keys)
	for i := range keys {
		k := &keys[i]
		record := publish.Key{Selector: k.Selector, State: dkim.State(k.State), Record: k.Record}.In(x.Domain)
		if dkim.State(k.State) != dkim.Prepared || now.Sub(s.looked[record.Name]) < lookEvery {
			continue
		}
		s.looked[record.Name] = now
		ctx, cancel := context.WithTimeout(ctx, lookWait)
		found := publish.Compare(ctx, []publish.Record{record}, s.o.Resolver)[0]
		cancel()
		switch {
		case found.Verdict == publish.CannotSay:
			s.o.Logger.Info("the DNS does not say whether a DKIM key is published", "domain", x.Domain, "selector", k.Selector, "why", found.Note)
		case found.Verdict != publish.Present:
			k.Seen = 0
		case k.Seen == 0:
			k.Seen = now.UnixNano()
		}
	}
	if slices.Equal(keys, x.Keys) {
		return
	}
	if err := s.set(ctx, x.Domain, x.Version, keys); err != nil && ctx.Err() == nil {
		s.o.Logger.Warn("it cannot be noted that a DKIM key is published; trying again", "domain", x.Domain, "error", err)
		clear(s.looked)
	}
}

// entries are keys as rotation sees them.
func entries(keys []command.SigningKey) []dkim.Entry {
	list := make([]dkim.Entry, len(keys))
	for i, k := range keys {
		list[i] = dkim.Entry{Selector: k.Selector, Kind: dkim.Kind(k.Kind), State: dkim.State(k.State), Since: time.Unix(0, k.Since)}
		if k.Seen != 0 {
			list[i].Seen = time.Unix(0, k.Seen)
		}
	}
	return list
}
