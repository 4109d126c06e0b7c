package replica

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"rookery"
	"rookery/directory"
)

// List is directory.Lister's.
func (c *Copy) List(_ context.Context, addr rookery.Address) (directory.Record, error) {
	addr = directory.Base(addr)
	r, err := c.one("look up list", byAddress, addr.Key(), true)
	switch {
	case err != nil:
		return directory.Record{}, err
	case r == nil || r.List == nil:
		return directory.Record{}, rookery.E("look up list", rookery.KindNotFound,
			fmt.Errorf("the copy of directory %q has no list %s", c.o.Name, addr))
	}
	return r.Record, nil
}

// Expand is directory.Lister's.
func (c *Copy) Expand(ctx context.Context, key string) (directory.Expansion, error) {
	x, err := c.expand(ctx, key)
	if err != nil {
		return directory.Expansion{}, err
	}
	return x.result(), nil
}

// Member reports whether an entry is behind a list; the errors are Expand's.
func (c *Copy) Member(ctx context.Context, list, key string) (bool, error) {
	x, err := c.expand(ctx, list)
	if err != nil {
		return false, err
	}
	return x.accounts[key] != nil || x.lists[key] != nil && key != list, nil
}

// expansion is a list while it is expanded, lists in it before what they have.
type expansion struct {
	c        *Copy
	root     string
	lists    map[string]*record
	queue    []*record
	in       map[string][]string // the lists that a list names, by keys
	accounts map[string]*record
	external map[string]rookery.Address
	missing  map[string]bool
}

func (c *Copy) expand(ctx context.Context, key string) (*expansion, error) {
	const op = "expand list"
	root, err := c.byKey(key)
	switch {
	case err != nil:
		return nil, err
	case root == nil || root.List == nil || !c.receives(root):
		return nil, rookery.E(op, rookery.KindNotFound, fmt.Errorf("the copy of directory %q has no list %.200q", c.o.Name, key))
	}
	x := &expansion{c: c, root: key, lists: map[string]*record{key: root}, queue: []*record{root}, in: map[string][]string{},
		accounts: map[string]*record{}, external: map[string]rookery.Address{}, missing: map[string]bool{}}
	for len(x.queue) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, rookery.E(op, rookery.KindUnavailable, err)
		}
		next := x.queue[0]
		x.queue = x.queue[1:]
		if err := x.take(next); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// take goes through the members of one list.
func (x *expansion) take(list *record) error {
	if list.cut > 0 {
		return x.tooLarge(list)
	}
	for _, m := range list.List.Members {
		if err := x.named(list, byDN, m); err != nil {
			return err
		}
	}
	for _, m := range list.List.Uids {
		if err := x.named(list, byLogin, rookery.FoldLocal(m)); err != nil {
			return err
		}
	}
	for _, m := range list.List.External {
		if a, err := rookery.ParseAddress(m); err == nil {
			x.external[a.Key()] = a
		} else {
			x.missing[m] = true
		}
	}
	// Who says that they are in it.
	for _, name := range []string{list.Key, directory.NormalDN(list.DN)} {
		if name == "" {
			continue
		}
		all, err := x.c.read(index(byGroup, name), directory.MaxExpanded+1)
		if err != nil {
			return err
		}
		for _, r := range all {
			x.add(list, r)
		}
	}
	if len(x.accounts)+len(x.external)+len(x.lists)+len(x.missing) > directory.MaxExpanded {
		return x.tooLarge(list)
	}
	return nil
}

func (x *expansion) tooLarge(list *record) error {
	return rookery.E("expand list", rookery.KindTooLarge,
		fmt.Errorf("more than %d members are behind the list %s, or they do not fit the copy: split the list",
			directory.MaxExpanded, nameOf(list)))
}

// named adds the member of a name.
func (x *expansion) named(list *record, by, name string) error {
	r, err := x.c.one("expand list", by, name, true)
	if err != nil {
		return err // two may have the name: nobody guesses
	}
	if r == nil {
		x.missing[name] = true
		return nil
	}
	x.add(list, r)
	return nil
}

func (x *expansion) add(list, member *record) {
	key := member.Key
	switch {
	case !x.c.receives(member):
		x.missing[nameOf(member)] = true
	case member.List != nil:
		if at := list.Key; !slices.Contains(x.in[at], key) {
			x.in[at] = append(x.in[at], key)
		}
		if x.lists[key] == nil {
			x.lists[key] = member
			x.queue = append(x.queue, member)
		}
	case len(member.Addresses) == 0:
		x.missing[nameOf(member)] = true
	default:
		x.accounts[key] = member
	}
}

func (x *expansion) result() (e directory.Expansion) {
	for _, k := range sorted(x.accounts) {
		e.Accounts = append(e.Accounts, x.accounts[k].Entry)
	}
	for _, k := range sorted(x.external) {
		e.External = append(e.External, x.external[k])
	}
	e.Missing = sorted(x.missing)
	e.Loops = x.loops()
	return e
}

// loops finds each list that is named by one that it leads to.
func (x *expansion) loops() (all []string) {
	const fresh, open, done = 0, 1, 2
	state := map[string]int{}
	type step struct {
		key  string
		next int
	}
	way := []step{{key: x.root}}
	state[x.root] = open
	for len(way) > 0 {
		at := &way[len(way)-1]
		if at.next == len(x.in[at.key]) {
			state[at.key] = done
			way = way[:len(way)-1]
			continue
		}
		next := x.in[at.key][at.next]
		at.next++
		switch state[next] {
		case fresh:
			state[next] = open
			way = append(way, step{key: next})
		case open:
			from := slices.IndexFunc(way, func(s step) bool { return s.key == next })
			var names []string
			for _, s := range way[from:] {
				names = append(names, nameOf(x.lists[s.key]))
			}
			all = append(all, strings.Join(append(names, nameOf(x.lists[next])), " > "))
		}
	}
	slices.Sort(all)
	return all
}

func sorted[T any](m map[string]T) []string {
	if len(m) == 0 {
		return nil
	}
	all := make([]string, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

// maxLists is how many lists Groups goes through.
const maxLists = 20_000

// Groups are the keys of the lists that an entry is in, by way of others too, in
// order. It reads every list of the directory: it is for operators. KindNotFound:
// the copy has no such entry.
func (c *Copy) Groups(ctx context.Context, key string) ([]string, error) {
	const op = "find groups"
	r, err := c.byKey(key)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, rookery.E(op, rookery.KindNotFound, fmt.Errorf("the copy of directory %q has no entry %.200q", c.o.Name, key))
	}
	all, err := c.read(lists, maxLists)
	if err != nil {
		return nil, err
	}
	by, names := map[string][]*record{}, map[string]*record{} // by a member's name; by their own
	for _, l := range all {
		if ctx.Err() != nil {
			return nil, rookery.E(op, rookery.KindUnavailable, ctx.Err())
		}
		if !l.Vanished.IsZero() || l.List == nil {
			continue
		}
		names[l.Key], names[directory.NormalDN(l.DN)] = l, l
		for _, m := range l.List.Members {
			by[byDN+m] = append(by[byDN+m], l)
		}
		for _, m := range l.List.Uids {
			m = rookery.FoldLocal(m)
			by[byLogin+m] = append(by[byLogin+m], l)
		}
	}
	in := map[string]bool{}
	for queue := []*record{r}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		found := slices.Clone(by[byDN+directory.NormalDN(at.DN)])
		for _, login := range at.Logins {
			found = append(found, by[byLogin+login]...)
		}
		for _, g := range at.Groups {
			if l := names[g]; l != nil {
				found = append(found, l)
			}
		}
		for _, l := range found {
			if k := l.Key; !in[k] {
				in[k] = true
				queue = append(queue, l)
			}
		}
	}
	return sorted(in), nil
}
