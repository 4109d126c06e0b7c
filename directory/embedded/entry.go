package embedded

import (
	"slices"
	"strings"
)

// attribute is one attribute of an entry: its name as first written, and its
// values in their order.
type attribute struct {
	name   string
	values []string
}

// entry is immutable once it is in a tree: changes make a new one.
type entry struct {
	dn    dn
	order uint64 // position in listings; the cookie of paged searches
	attrs map[string]*attribute
}

func newEntry(d dn) *entry { return &entry{dn: d, attrs: map[string]*attribute{}} }

func (e *entry) clone() *entry {
	c := &entry{dn: e.dn, order: e.order, attrs: make(map[string]*attribute, len(e.attrs))}
	for k, a := range e.attrs {
		c.attrs[k] = &attribute{a.name, slices.Clone(a.values)}
	}
	return c
}

func (e *entry) get(name string) []string {
	if a := e.attrs[strings.ToLower(name)]; a != nil {
		return a.values
	}
	return nil
}

func (e *entry) first(name string) string {
	if v := e.get(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (e *entry) set(name string, values ...string) {
	key := strings.ToLower(name)
	if len(values) == 0 {
		delete(e.attrs, key)
		return
	}
	e.attrs[key] = &attribute{name, values}
}

// has reports whether the attribute holds a value equal under its rule.
func (e *entry) has(name, value string) bool {
	r := ruleOf(name)
	want := r.normal(value)
	return slices.ContainsFunc(e.get(name), func(v string) bool { return r.normal(v) == want })
}

func (e *entry) add(name, value string) {
	key := strings.ToLower(name)
	if a := e.attrs[key]; a != nil {
		a.values = append(a.values, value)
		return
	}
	e.attrs[key] = &attribute{name, []string{value}}
}

// remove drops one value; false when it is not there.
func (e *entry) remove(name, value string) bool {
	a := e.attrs[strings.ToLower(name)]
	if a == nil {
		return false
	}
	r := ruleOf(name)
	want := r.normal(value)
	i := slices.IndexFunc(a.values, func(v string) bool { return r.normal(v) == want })
	if i < 0 {
		return false
	}
	a.values = slices.Delete(a.values, i, i+1)
	if len(a.values) == 0 {
		delete(e.attrs, strings.ToLower(name))
	}
	return true
}

// names lists the attributes in a stable order, objectClass first.
func (e *entry) names() []string {
	keys := make([]string, 0, len(e.attrs))
	for k := range e.attrs {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if (a == "objectclass") != (b == "objectclass") {
			if a == "objectclass" {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	return keys
}

// operational attributes are given only when asked for by name or "+", and
// written only by the server.
func operational(key string) bool {
	switch key {
	case "entryuuid", "createtimestamp", "modifytimestamp", "creatorsname", "modifiersname", "entrydn":
		return true
	}
	return false
}
