package embedded

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"rookery/directory/embedded/ldif"
	"rookery/internal/durable"
	"slices"
	"strings"
	"sync"
	"time"

	"rookery"
)

// tree holds all entries in memory and keeps its file in step: a change that
// cannot be written is not made.
type tree struct {
	path string // empty: memory only
	base dn

	mu     sync.RWMutex
	byKey  map[string]*entry
	order  []*entry // by entry.order
	last   uint64
	lookup map[string]map[string][]*entry // attribute -> normal value -> entries
}

// indexed attributes answer equality searches without a scan.
func indexed(key string) bool {
	switch key {
	case "uid", "mail", "mailalternateaddress", "mailalias", "gosamailalternateaddress", "cn", "entryuuid", "member", "proxyaddresses":
		return true
	}
	return false
}

func openTree(path string, base dn) (*tree, error) {
	t := &tree{path: path, base: base, byKey: map[string]*entry{}, lookup: map[string]map[string][]*entry{}}
	if path == "" {
		return t, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return nil, rookery.E("open embedded directory", rookery.KindUnavailable, err)
	}
	defer f.Close()
	err = ldif.Read(f, func(r ldif.Record) error {
		e, err := entryOf(r)
		if err != nil {
			return err
		}
		if !e.dn.under(base) {
			return fmt.Errorf("%q is not below the base %q", e.dn.text, base.text)
		}
		if t.byKey[e.dn.key()] != nil {
			return fmt.Errorf("%q is there twice", e.dn.text)
		}
		t.insert(e)
		return nil
	})
	if err != nil {
		return nil, rookery.E("open embedded directory", rookery.KindDamaged, fmt.Errorf("%s: %w", path, err))
	}
	return t, nil
}

func entryOf(r ldif.Record) (*entry, error) {
	d, err := parseDN(r.DN)
	if err != nil || d.depth() == 0 {
		return nil, fmt.Errorf("dn %.200q is not a distinguished name", r.DN)
	}
	e := newEntry(d)
	for _, a := range r.Attrs {
		e.add(a[0], a[1])
	}
	if e.first("entryUUID") == "" {
		e.set("entryUUID", newUUID())
	}
	return e, nil
}

// insert puts a new entry in; the caller holds mu or is alone.
func (t *tree) insert(e *entry) {
	if e.order == 0 {
		t.last++
		e.order = t.last
	}
	t.byKey[e.dn.key()] = e
	i, _ := slices.BinarySearchFunc(t.order, e.order, func(x *entry, n uint64) int { return int(int64(x.order) - int64(n)) })
	t.order = slices.Insert(t.order, i, e)
	t.index(e)
}

func (t *tree) drop(e *entry) {
	delete(t.byKey, e.dn.key())
	if i := slices.Index(t.order, e); i >= 0 {
		t.order = slices.Delete(t.order, i, i+1)
	}
	t.unindex(e)
}

func (t *tree) index(e *entry) {
	for key, a := range e.attrs {
		if !indexed(key) {
			continue
		}
		m := t.lookup[key]
		if m == nil {
			m = map[string][]*entry{}
			t.lookup[key] = m
		}
		for _, v := range a.values {
			n := ruleOf(key).normal(v)
			if !slices.Contains(m[n], e) {
				m[n] = append(m[n], e)
			}
		}
	}
}

func (t *tree) unindex(e *entry) {
	for key, a := range e.attrs {
		m := t.lookup[key]
		if m == nil {
			continue
		}
		for _, v := range a.values {
			n := ruleOf(key).normal(v)
			if m[n] = slices.DeleteFunc(m[n], func(x *entry) bool { return x == e }); len(m[n]) == 0 {
				delete(m, n)
			}
		}
	}
}

// candidates narrows a filter down by index; false means: scan.
func (t *tree) candidates(f *filter) ([]*entry, bool) {
	switch f.op {
	case opEqual:
		key := strings.ToLower(f.attr)
		if !indexed(key) {
			return nil, false
		}
		return t.lookup[key][ruleOf(key).normal(f.value)], true
	case opAnd:
		for _, k := range f.kids {
			if c, ok := t.candidates(k); ok {
				return c, true
			}
		}
	case opOr:
		var all []*entry
		for _, k := range f.kids {
			c, ok := t.candidates(k)
			if !ok {
				return nil, false
			}
			all = append(all, c...)
		}
		slices.SortFunc(all, func(a, b *entry) int { return int(int64(a.order) - int64(b.order)) })
		return slices.Compact(all), true
	}
	return nil, false
}

// get finds one entry; nil when it is not there.
func (t *tree) get(d dn) *entry {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byKey[d.key()]
}

// change runs fn on the tree and writes the file; fn's edits go through put
// and take, so that they can be undone when the disk refuses.
func (t *tree) change(fn func(*edit) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	ed := &edit{t: t}
	err := fn(ed)
	if err == nil && len(ed.undo) > 0 {
		err = t.save()
	}
	if err != nil {
		for _, undo := range slices.Backward(ed.undo) {
			undo()
		}
	}
	return err
}

// edit is a change under way.
type edit struct {
	t    *tree
	undo []func()
}

func (ed *edit) get(d dn) *entry { return ed.t.byKey[d.key()] }

func (ed *edit) put(e *entry) {
	old := ed.t.byKey[e.dn.key()]
	if old != nil {
		ed.t.drop(old)
	}
	ed.t.insert(e)
	ed.undo = append(ed.undo, func() {
		ed.t.drop(e)
		if old != nil {
			ed.t.insert(old)
		}
	})
}

func (ed *edit) take(e *entry) {
	ed.t.drop(e)
	ed.undo = append(ed.undo, func() { ed.t.insert(e) })
}

func (ed *edit) hasKids(d dn) bool {
	key := d.key()
	return slices.ContainsFunc(ed.t.order, func(e *entry) bool { return e.dn.parentKey() == key })
}

// save writes the whole file beside the old one and swaps them.
func (t *tree) save() error {
	if t.path == "" {
		return nil
	}
	var buf bytes.Buffer
	w := bufio.NewWriter(&buf)
	w.WriteString("version: 1\n\n")
	for _, e := range t.order {
		r := ldif.Record{DN: e.dn.text}
		for _, k := range e.names() {
			for _, v := range e.attrs[k].values {
				r.Attrs = append(r.Attrs, [2]string{e.attrs[k].name, v})
			}
		}
		ldif.Write(w, r)
	}
	w.Flush()
	if err := durable.WriteFile(t.path, buf.Bytes(), 0o600); err != nil {
		return rookery.E("save embedded directory", rookery.KindUnavailable, err)
	}
	return nil
}

func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// generalizedTime is the LDAP form of a time (RFC 4517 3.3.13).
func generalizedTime(t time.Time) string { return t.UTC().Format("20060102150405Z") }
