package elected

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/directory/replica"
	"rookery/storage/command"
	"rookery/storage/system/people"
)

const (
	// Stale is how old a copy may be before it is told as a problem.
	Stale = 10 * time.Minute
	// shownChanges and shownConflicts bound what Status lists.
	shownChanges   = 100
	shownConflicts = 20
)

// Status says how the copies of all directories stand, in the order of names.
func (s *Service) Status() ([]adminapi.DirectoryCopy, error) {
	sources, _ := s.o.Sources()
	all := make([]adminapi.DirectoryCopy, 0, len(sources))
	for _, x := range sources {
		c, err := s.status(x)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b adminapi.DirectoryCopy) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func (s *Service) status(x Source) (adminapi.DirectoryCopy, error) {
	c := adminapi.DirectoryCopy{Name: x.Name, ID: x.ID, Followed: x.Follower != nil, Conflicts: []string{}}
	v := s.o.Groups.System().People()
	d, _, err := v.Directory(x.ID)
	if err != nil {
		return c, err
	}
	c.AsOf, c.FullRead, c.Reading = stamp(d.Complete), stamp(d.Full), d.Reading
	c.Entries, c.Vanished, c.ConflictCount = d.Present, d.Vanished, d.Conflicts
	if c.AsOf != nil {
		c.Lag = max(0, int64(s.o.Clock().Sub(*c.AsOf).Seconds()))
	}
	if c.Followed {
		c.By, c.Problem = s.by(x.ID)
	}
	conflicts, err := v.Conflicts(x.ID, shownConflicts)
	if err != nil {
		return c, err
	}
	for _, k := range conflicts {
		_, name, _ := strings.Cut(k, ":")
		c.Conflicts = append(c.Conflicts, name)
	}
	if d.Held == 0 {
		return c, nil
	}
	held, err := v.Held(x.ID, shownChanges)
	c.Pending = &adminapi.PendingChanges{Number: d.Pending, Count: d.Held, Since: *stamp(d.Since), Changes: []adminapi.PendingChange{}}
	for _, h := range held {
		c.Pending.Changes = append(c.Pending.Changes, shown(h))
	}
	return c, err
}

// by is the node that follows a directory, by its name, and its problem.
func (s *Service) by(id string) (node, problem string) {
	leader, err := s.o.Groups.Leader(rookery.SystemGroup)
	if err != nil {
		return "", err.Error()
	}
	if leader == "" {
		problem = s.Report()[id]
		leader = s.o.Self
	} else if r, ok := s.o.Of(leader); ok {
		problem = r.Follows[id]
	}
	n, err := s.o.Groups.System().Node(leader)
	if err != nil {
		return string(leader), problem
	}
	return n.Name, problem
}

func stamp(nanos int64) *time.Time {
	if nanos == 0 {
		return nil
	}
	t := time.Unix(0, nanos).UTC()
	return &t
}

// shown is a change that waits, for operators.
func shown(h people.Held) adminapi.PendingChange {
	x := adminapi.PendingChange{Key: h.Now.Key, Entry: h.Now.Key, Lost: []string{}, Gained: []string{}}
	if r, err := replica.Decode(h.Now.Key, h.Now.Value); err == nil && r.DN != "" {
		x.Entry = r.DN
	}
	if h.Next == nil {
		x.What = "vanishes"
		return x
	}
	x.What = "loses attributes"
	if h.Risk == people.Readdressed {
		x.What = "changes addresses"
	}
	x.Lost = append(x.Lost, replica.Lost(h.Now.Has, h.Next.Has)...)
	x.Lost = append(x.Lost, addressesNotIn(h.Now.Index, h.Next.Index)...)
	x.Gained = append(x.Gained, addressesNotIn(h.Next.Index, h.Now.Index)...)
	return x
}

func addressesNotIn(a, b []string) (all []string) {
	for _, s := range a {
		if name, is := strings.CutPrefix(s, people.Address); is && !slices.Contains(b, s) {
			all = append(all, name)
		}
	}
	return all
}

// Problems tells what an operator has to know of the copies.
func (s *Service) Problems(problem func(format string, a ...any)) {
	all, err := s.Status()
	if err != nil {
		problem("the copies of directories cannot be read: %v", err)
		return
	}
	for _, c := range all {
		if p := c.Pending; p != nil {
			problem("directory %s: %d entries would vanish, lose attributes or change addresses; that waits since %s: look at it with rookery "+
				"directory status, then mend the directory, or run rookery directory approve %s -number %d", c.Name, p.Count,
				p.Since.Format(time.RFC3339), c.Name, p.Number)
		}
		if c.ConflictCount > 0 {
			problem("directory %s: %d addresses or logins belong to more than one entry, such as %s; mail for them is deferred until one entry "+
				"gives them up", c.Name, c.ConflictCount, strings.Join(c.Conflicts[:min(3, len(c.Conflicts))], ", "))
		}
		if !c.Followed || s.o.Clock().Sub(s.began) < Stale {
			continue // it has not had the time
		}
		why := c.Problem
		if why == "" {
			why = "see the log of node " + c.By
		}
		switch {
		case c.AsOf == nil:
			problem("directory %s: there is no complete copy of it yet: %s", c.Name, why)
		case c.Lag > int64(Stale.Seconds()):
			problem("directory %s: its copy is as of %s: %s", c.Name, c.AsOf.Format(time.RFC3339), why)
		}
	}
}

// Settle makes the changes of a directory that wait, or forgets them: then
// everything is read anew. KindNotFound: none wait, or the settings have no such
// directory; KindConflict: others wait than those with the number.
func (s *Service) Settle(ctx context.Context, name string, approve bool, number uint64) (adminapi.PendingSettled, error) {
	done := adminapi.PendingSettled{Directory: name}
	sources, _ := s.o.Sources()
	at := slices.IndexFunc(sources, func(x Source) bool { return x.Name == name })
	if at < 0 {
		return done, rookery.E("settle changes", rookery.KindNotFound, fmt.Errorf("the settings have no directory %.80q", name))
	}
	for {
		r, err := s.o.Groups.ProposeSystem(ctx, &command.SettlePeople{Directory: sources[at].ID, Pending: number, Approve: approve})
		if err != nil {
			return done, err
		}
		some, _ := r.(*command.PurgeResult)
		done.Changes += some.Purged
		if !some.More {
			return done, s.o.Groups.Barrier(ctx, rookery.SystemGroup)
		}
	}
}
