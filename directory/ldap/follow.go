package ldap

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery"
	"rookery/directory"
)

// How everything is read again and again: directories of so many entries each time,
// larger ones every so often, with what has changed since in between.
const (
	rereadUpTo = 5000
	rereadTime = 10 * time.Minute
	// readWithin bounds one read of everything.
	readWithin = 10 * time.Minute
	// batchOf is how many entries are handed over at a time.
	batchOf = 200
)

var _ directory.Follower = (*Directory)(nil)

// Follow is directory.Follower's, by asking every Config.Copy. A change is seen
// within that time, and so is what goes from a directory of up to 5,000 entries; from
// larger ones within 10 minutes. It gives no cookies: after a restart everything is
// read, and what the copy has already costs little.
func (d *Directory) Follow(ctx context.Context, _ []byte, emit func(directory.Batch) error) error {
	f := &follower{d: d, emit: emit}
	for {
		if err := f.round(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d.cfg.Copy):
		}
	}
}

// follower knows what it has handed over.
type follower struct {
	d    *Directory
	emit func(directory.Batch) error

	known map[string]digest // by key; nil before the first read of everything
	read  time.Time         // when that last ended
	stamp string            // the latest time of change that a server told of
}

// digest tells a record from what it was before.
type digest [16]byte

func (f *follower) round(ctx context.Context) error {
	const op = "follow directory"
	s, err := f.d.anyServer()
	if err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	p := f.d.profile.Load()
	if p == nil {
		return rookery.E(op, rookery.KindUnavailable, fmt.Errorf("%s has not told yet what kind of server it is", s.url))
	}
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	if len(f.known) <= rereadUpTo || f.d.now().Sub(f.read) >= rereadTime || f.stamp == "" {
		err = f.all(ctx, s, p)
	} else {
		err = f.changes(ctx, s, p)
	}
	if err != nil {
		return rookery.E(op, rookery.KindUnavailable, err)
	}
	return nil
}

// all reads everything, and hands over what is new; at first all of it.
func (f *follower) all(ctx context.Context, s *server, p *profile) error {
	first := f.known == nil
	seen := map[string]digest{}
	b := directory.Batch{Full: first}
	if err := f.each(ctx, s, p, p.everything(), func(r directory.Record, sum digest) error {
		was, known := f.known[r.Key]
		seen[r.Key] = sum
		if known && was == sum {
			return nil
		}
		b.Changed = append(b.Changed, r)
		return f.flush(&b, batchOf)
	}); err != nil {
		return err
	}
	for key := range f.known {
		if _, still := seen[key]; still {
			continue
		}
		b.Gone = append(b.Gone, key)
		if err := f.flush(&b, batchOf); err != nil {
			return err
		}
	}
	b.Complete = true
	if err := f.flush(&b, 0); err != nil {
		return err
	}
	f.known, f.read = seen, f.d.now()
	return nil
}

// changes reads what has changed since the latest change that is known, again too: a
// time of change has seconds only.
func (f *follower) changes(ctx context.Context, s *server, p *profile) error {
	b := directory.Batch{}
	since := "(&(" + p.changed() + ">=" + goldap.EscapeFilter(f.stamp) + ")" + p.everything() + ")"
	if err := f.each(ctx, s, p, since, func(r directory.Record, sum digest) error {
		if f.known[r.Key] == sum {
			return nil
		}
		f.known[r.Key] = sum
		b.Changed = append(b.Changed, r)
		return f.flush(&b, batchOf)
	}); err != nil {
		return err
	}
	b.Complete = true
	return f.flush(&b, 0)
}

// flush hands a batch over that has more than some entries, and begins another.
func (f *follower) flush(b *directory.Batch, most int) error {
	if len(b.Changed)+len(b.Gone) < most {
		return nil
	}
	err := f.emit(*b)
	*b = directory.Batch{}
	return err
}

// each calls fn for every entry that a filter finds.
func (f *follower) each(ctx context.Context, s *server, p *profile, filter string, fn func(directory.Record, digest) error) error {
	id := or(f.d.cfg.ID, f.d.cfg.Name)
	want := slices.Concat(p.want, groupAttributes(), []string{"objectClass", p.changed()})
	req := goldap.NewSearchRequest(f.d.cfg.Base, goldap.ScopeWholeSubtree, goldap.NeverDerefAliases, 0, 0, false, filter, want, nil)
	return s.pages(ctx, req, uint32(f.d.cfg.PageSize), func(e *goldap.Entry) error {
		f.stamp = max(f.stamp, value(e, p.changed()))
		x, err := p.entry(id, e, f.d.now())
		if err != nil {
			return err
		}
		r := directory.Record{Entry: x.entry, DisabledWhy: x.why, Hidden: strings.EqualFold(value(e, "msExchHideFromAddressLists"), "TRUE"),
			PasswordChanged: or(value(e, "pwdLastSet"), or(value(e, "pwdChangedTime"), value(e, "krbLastPwdChange")))}
		if isGroup(e) {
			if r.List, err = f.list(ctx, s, e); err != nil {
				return err
			}
			r.Disabled, r.DisabledWhy = false, ""
		} else {
			r.Logins = x.names()
		}
		coded, err := json.Marshal(r)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(coded)
		return fn(r, digest(sum[:16]))
	})
}

// names are the logins that are the entry's.
func (f *found) names() []string {
	all := slices.Concat(f.logins, f.principals)
	if f.addressOK {
		for _, a := range f.entry.Addresses {
			all = append(all, rookery.FoldLocal(a.Local)+"@"+a.Domain)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// changed is the attribute with the time of an entry's last change.
func (p *profile) changed() string {
	if p.name == "ad" {
		return "whenChanged"
	}
	return "modifyTimestamp"
}

// everything finds people and groups.
func (p *profile) everything() string {
	var b strings.Builder
	for _, class := range groupClasses() {
		item(&b, "objectClass", class)
	}
	return "(|" + p.UserFilter + b.String() + ")"
}

// groupClasses are the classes of groups; personClasses make an entry a person all the
// same.
func groupClasses() []string {
	return []string{"group", "groupOfNames", "groupOfUniqueNames", "posixGroup", "groupOfMembers", "mailGroup", "groupOfURLs"}
}

func personClasses() []string { return []string{"person", "user", "inetOrgPerson", "posixAccount"} }

func isGroup(e *goldap.Entry) bool {
	has := func(classes []string) bool {
		return slices.ContainsFunc(e.GetEqualFoldAttributeValues("objectClass"), func(c string) bool {
			return slices.ContainsFunc(classes, func(x string) bool { return strings.EqualFold(x, c) })
		})
	}
	return has(groupClasses()) && !has(personClasses())
}
