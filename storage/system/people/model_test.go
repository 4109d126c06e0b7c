package people_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery/storage/command"
	"rookery/storage/system/people"
)

// model is the copy told naively: what the directory last said of each entry, what
// is in force, and what was in force before the window's losses.
type model struct {
	now, before map[string]modelled
	held        map[string]*modelled // nil: vanishes
	named       map[string]bool
	reading     bool
	window      int64
	base        int
	over        bool
}

type modelled struct {
	Value    string
	Index    []string
	Has      uint32
	Disabled bool
	Gone     bool
}

func (m *model) present() (n int) {
	for _, x := range m.now {
		if !x.Gone {
			n++
		}
	}
	return n
}

func (a modelled) same(b modelled) bool {
	return a.Value == b.Value && slices.Equal(a.Index, b.Index) && a.Has == b.Has && a.Disabled == b.Disabled && a.Gone == b.Gone
}

func (a modelled) loses(b modelled) bool {
	var had, has []string
	for _, s := range a.Index {
		if strings.HasPrefix(s, "a:") {
			had = append(had, s)
		}
	}
	for _, s := range b.Index {
		if strings.HasPrefix(s, "a:") {
			has = append(has, s)
		}
	}
	for _, s := range had {
		if !slices.Contains(has, s) {
			return true
		}
	}
	return b.Gone || len(had) > 0 && had[0] != has[0] || a.Has&^b.Has != 0
}

// say is one thing that the directory says of an entry.
func (m *model) say(key string, next modelled, time int64) {
	now, known := m.now[key]
	if next.Gone && (!known || now.Gone) {
		return
	}
	if next.Gone {
		next = now
		next.Gone = true
	}
	_, isHeld := m.held[key]
	switch {
	case !known || now.Gone:
		m.now[key] = next
	case !now.loses(next):
		if isHeld {
			if delete(m.held, key); len(m.held) == 0 {
				m.calm()
			}
		}
		m.now[key] = next
	case isHeld || m.over || !m.mayLose(key, now, time):
		m.hold(key, next)
	default:
		m.now[key] = next
	}
}

func (m *model) mayLose(key string, now modelled, time int64) bool {
	if m.window == 0 {
		m.window, m.base = time, m.present()
	}
	if _, counted := m.before[key]; counted {
		return true
	}
	if m.tooMany(len(m.before) + 1) {
		m.brake()
		return false
	}
	m.before[key] = now
	return true
}

func (m *model) tooMany(n int) bool { return n > 10 && n*10 > max(m.base, m.present()) }

func (m *model) brake() {
	m.over = true
	for key, was := range m.before {
		if now := m.now[key]; was.loses(now) {
			m.hold(key, now)
			was.Disabled = was.Disabled || now.Disabled
			m.now[key] = was
		}
	}
	m.before = map[string]modelled{}
}

func (m *model) hold(key string, next modelled) {
	m.held[key] = &next
	if next.Gone {
		m.held[key] = nil
		return
	}
	now := m.now[key]
	now.Disabled = now.Disabled || next.Disabled
	m.now[key] = now
}

func (m *model) calm() { m.window, m.base, m.over, m.before = 0, 0, false, map[string]modelled{} }

func (m *model) take(c *command.CopyPeople, time int64) {
	if c.Full {
		m.reading, m.named = true, map[string]bool{}
	}
	if m.window != 0 && time-m.window > people.BrakeWindow {
		m.calm()
	}
	for _, p := range c.Changed {
		m.named[p.Key] = true
		m.say(p.Key, modelled{string(p.Value), p.Index, p.Has, p.Disabled, false}, time)
	}
	for _, k := range c.Gone {
		m.say(k, modelled{Gone: true}, time)
	}
	if !c.Complete || !m.reading {
		return
	}
	m.reading = false
	var unnamed []string
	fresh := 0
	for k, x := range m.now {
		if !x.Gone && !m.named[k] {
			unnamed = append(unnamed, k)
			if _, held := m.held[k]; !held {
				fresh++
			}
		}
	}
	slices.Sort(unnamed)
	if !m.over && m.tooMany(len(m.before)+fresh) {
		if m.window == 0 {
			m.window, m.base = time, m.present()
		}
		m.brake()
	}
	for _, k := range unnamed {
		m.say(k, modelled{Gone: true}, time)
	}
}

func (m *model) settle(approve bool) {
	m.calm()
	if approve {
		for k, next := range m.held {
			now := m.now[k]
			if next == nil {
				now.Gone = true
				m.now[k] = now
			} else {
				m.now[k] = *next
			}
		}
	} else {
		m.reading = false
	}
	m.held = map[string]*modelled{}
}

// TestTheCopyIsTheModel runs random commands against both, with an image put in the
// place of the state now and then.
func TestTheCopyIsTheModel(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		f := open(t)
		m := &model{now: map[string]modelled{}, before: map[string]modelled{}, held: map[string]*modelled{}, named: map[string]bool{}}
		for step := range 200 {
			what := randomStep(r, f, m)
			if r.IntN(20) == 0 {
				f.restore()
			}
			if step%4 != 0 {
				continue
			}
			if d := m.compare(f); d != "" {
				t.Fatalf("seed %d, step %d, %s: %s", seed, step, what, d)
			}
		}
	}
}

func randomStep(r *rand.Rand, f *fixture, m *model) string {
	const entries = 60
	var c command.CopyPeople
	switch x := r.IntN(20); {
	case x == 0:
		f.time += people.BrakeWindow * int64(r.IntN(3)) / 2
	case x == 1 && len(m.held) > 0:
		approve := r.IntN(2) == 0
		f.settle(approve)
		m.settle(approve)
		return fmt.Sprint("settle ", approve)
	case x < 5: // a read of everything, perhaps without some
		first := r.IntN(3) * r.IntN(entries/2)
		c = command.CopyPeople{Full: true, Complete: r.IntN(4) > 0}
		for n := first; n < entries; n++ {
			c.Changed = append(c.Changed, randomPerson(r, n, r.IntN(10) == 0))
		}
	case x < 7: // a mass change
		from := r.IntN(entries)
		has := uint32(r.IntN(4))
		for n := from; n < min(entries, from+20); n++ {
			p := randomPerson(r, n, false)
			p.Has = has
			c.Changed = append(c.Changed, p)
		}
	default:
		c.Complete = r.IntN(3) == 0
		for range r.IntN(4) {
			c.Changed = append(c.Changed, randomPerson(r, r.IntN(entries), true))
		}
		for range r.IntN(3) {
			c.Gone = append(c.Gone, key(r.IntN(entries)))
		}
	}
	f.copy(c)
	m.take(&c, f.time)
	return fmt.Sprintf("%d changed, %d gone, full %v, complete %v", len(c.Changed), len(c.Gone), c.Full, c.Complete)
}

func randomPerson(r *rand.Rand, n int, odd bool) command.Person {
	p := person(n)
	if odd {
		p.Value, p.Has, p.Disabled = []byte(fmt.Sprint(r.IntN(3))), uint32(r.IntN(4)), r.IntN(4) == 0
		p.Index = nil
		other := fmt.Sprintf("a:%d@example.com", r.IntN(60))
		for _, s := range []string{fmt.Sprintf("a:%d@example.com", n), other, fmt.Sprintf("l:%d", n/2), "d:x"} {
			if r.IntN(3) > 0 && !slices.Contains(p.Index, s) {
				p.Index = append(p.Index, s)
			}
		}
	}
	return p
}

func (m *model) compare(f *fixture) string {
	v := f.m.People()
	d := f.directory()
	has, owners := map[string]modelled{}, map[string][]string{}
	for k, x := range m.now {
		e, found, err := v.Entry(k)
		if err != nil || !found {
			return fmt.Sprint(k, " is not there: ", err)
		}
		has[k] = modelled{string(e.Value), e.Index, e.Has, e.Disabled, e.Vanished != 0}
		for _, s := range x.Index {
			if !x.Gone {
				owners[s] = append(owners[s], k)
			}
		}
	}
	if x := cmp.Diff(m.now, has); x != "" {
		return "entries: " + x
	}
	var conflicts []string
	for s, who := range owners {
		slices.Sort(who)
		if got := f.found(s); !slices.Equal(got, who) {
			return fmt.Sprintf("%s finds %v, want %v", s, got, who)
		}
		if len(who) > 1 && !strings.HasPrefix(s, "d:") {
			conflicts = append(conflicts, s)
		}
	}
	slices.Sort(conflicts)
	got, err := v.Conflicts("d", 1000)
	if err != nil || !slices.Equal(got, conflicts) || int(d.Conflicts) != len(conflicts) {
		return fmt.Sprintf("conflicts %v (%d), want %v: %v", got, d.Conflicts, conflicts, err)
	}
	held, err := v.Held("d", 1000)
	if err != nil || len(held) != len(m.held) || int(d.Held) != len(held) || (d.Pending != 0) != (d.Held != 0) {
		return fmt.Sprintf("%d are held (%d), want %d: %v", len(held), d.Held, len(m.held), err)
	}
	for _, h := range held {
		want, is := m.held[h.Now.Key]
		if !is || (want == nil) != (h.Next == nil) ||
			want != nil && !want.same(modelled{string(h.Next.Value), h.Next.Index, h.Next.Has, h.Next.Disabled, false}) {
			return fmt.Sprintf("held of %s: %+v, want %+v", h.Now.Key, h.Next, want)
		}
	}
	if int(d.Present) != m.present() || int(d.Present+d.Vanished) != len(m.now) {
		return fmt.Sprintf("%d are present and %d vanished, want %d of %d", d.Present, d.Vanished, m.present(), len(m.now))
	}
	return ""
}
