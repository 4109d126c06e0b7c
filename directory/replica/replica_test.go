package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/directory"
)

// table is a State in memory.
type table struct {
	rows  map[string]Row
	index map[string][]string
	reads int
}

func (s *table) Found(index string, most int) (all []Row, err error) {
	s.reads++
	for _, k := range s.index[index] {
		if len(all) < most {
			all = append(all, s.rows[k])
		}
	}
	return all, nil
}

func (s *table) ByKey(key string) (Row, bool, error) {
	s.reads++
	r, found := s.rows[key]
	return r, found, nil
}

func (s *table) put(r directory.Record, vanished time.Time) {
	c, err := Encode(r)
	if err != nil {
		panic(err)
	}
	for _, x := range c.Index {
		if !slices.Contains(s.index[x], r.Key) {
			s.index[x] = append(s.index[x], r.Key)
			slices.Sort(s.index[x])
		}
	}
	s.rows[r.Key] = Row{Key: r.Key, Value: c.Value, Vanished: vanished}
}

// live is the directory itself, which has people by address, or is away.
type live struct {
	people map[string]directory.Entry
	away   bool
	asked  int
}

func (l *live) Local(domain string) bool { return domain == "example.com" }

func (l *live) Recipient(ctx context.Context, a rookery.Address) (directory.Entry, error) {
	return l.Find(ctx, a.Key())
}

func (l *live) Find(_ context.Context, login string) (directory.Entry, error) {
	l.asked++
	if l.away {
		return directory.Entry{}, rookery.E("ask", rookery.KindUnavailable, errors.New("away"))
	}
	if e, ok := l.people[login]; ok {
		return e, nil
	}
	return directory.Entry{}, rookery.E("ask", rookery.KindNotFound, errors.New("nobody"))
}

func (l *live) Authenticate(ctx context.Context, login, _ string) (directory.Entry, error) {
	return l.Find(ctx, login)
}

type fixture struct {
	*Copy
	t     *testing.T
	table *table
	live  *live
	now   time.Time
}

func open(t *testing.T) *fixture {
	f := &fixture{t: t, table: &table{map[string]Row{}, map[string][]string{}, 0}, live: &live{people: map[string]directory.Entry{}},
		now: time.Unix(1e9, 0)}
	f.Copy = New(Options{Name: "main", State: f.table, Live: f.live, Grace: func() time.Duration { return 30 * 24 * time.Hour },
		Now: func() time.Time { return f.now }})
	return f
}

func person(key string, mail ...string) directory.Record {
	r := directory.Record{Entry: directory.Entry{Key: "d/" + key, DN: "CN=" + key + ", DC=Example", Login: key}, Logins: []string{key}}
	for _, m := range mail {
		r.Addresses = append(r.Addresses, addr(m))
	}
	if len(mail) > 0 {
		r.Primary = r.Addresses[0]
	}
	return r
}

func (f *fixture) recipient(mail, want string, kind rookery.Kind) {
	f.t.Helper()
	e, err := f.Recipient(f.t.Context(), addr(mail))
	if e.Key != want || (err == nil) != (kind == 0) || kind != 0 && !rookery.Is(err, kind) {
		f.t.Errorf("%s: %q, %v", mail, e.Key, err)
	}
}

// Known people are found while the directory is away, and nobody is unknown then.
func TestTheCopyAnswersFirst(t *testing.T) {
	f := open(t)
	f.table.put(person("anna", "anna@example.com"), time.Time{})
	f.live.people["new@example.com"] = directory.Entry{Key: "d/new"}
	f.recipient("Anna+x@example.com", "d/anna", 0)
	if f.live.asked != 0 {
		t.Error("the directory was asked for who is known")
	}
	f.recipient("new@example.com", "d/new", 0)
	f.recipient("nobody@example.com", "", rookery.KindNotFound)
	f.live.away = true
	f.recipient("anna@example.com", "d/anna", 0)
	f.recipient("new@example.com", "", rookery.KindUnavailable)
	f.recipient("nobody@example.com", "", rookery.KindUnavailable)
	if e, err := f.Find(t.Context(), "ANNA"); e.Key != "d/anna" || err != nil {
		t.Error(e, err)
	}
	if _, err := f.Find(t.Context(), "nobody"); !rookery.Is(err, rookery.KindUnavailable) {
		t.Error(err)
	}
	for _, complete := range []bool{false, true} {
		f.o.Complete = func() bool { return complete }
		_, err := f.Recipient(t.Context(), addr("nobody@example.com"))
		_, ferr := f.Find(t.Context(), "nobody")
		if errors.Is(err, directory.ErrNotInCopy) != complete || errors.Is(ferr, directory.ErrNotInCopy) != complete ||
			!rookery.Is(err, rookery.KindUnavailable) {
			t.Errorf("complete %v: %v, %v", complete, err, ferr)
		}
	}
	if e, err := f.ByKey("d/anna"); e.Login != "anna" || err != nil {
		t.Error(e, err)
	}
	if _, err := f.ByKey("d/nobody"); !rookery.Is(err, rookery.KindNotFound) {
		t.Error(err)
	}
}

// What two entries claim is nobody's, until one gives it up or vanishes.
func TestConflictsAreDeferred(t *testing.T) {
	f := open(t)
	f.table.put(person("anna", "a@example.com"), time.Time{})
	f.table.put(person("bert", "b@example.com", "a@example.com"), time.Time{})
	_, err := f.Recipient(t.Context(), addr("a@example.com"))
	if !rookery.Is(err, rookery.KindUnavailable) || !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "CN=bert") {
		t.Error(err)
	}
	f.recipient("b@example.com", "d/bert", 0)
	f.table.put(person("anna", "a@example.com"), f.now)
	f.Changed([]string{"d/anna"}, []string{"a:a@example.com"})
	f.recipient("a@example.com", "d/bert", 0)
}

// Who has vanished receives for the grace time, the last who had an address.
func TestVanishedEntriesReceive(t *testing.T) {
	f := open(t)
	f.table.put(person("anna", "a@example.com"), f.now.Add(-time.Hour))
	f.table.put(person("bert", "a@example.com"), f.now)
	f.live.away = true
	f.recipient("a@example.com", "d/bert", 0)
	if _, err := f.Find(t.Context(), "bert"); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("a login of who has vanished: %v", err)
	}
	f.now = f.now.Add(30*24*time.Hour + time.Second)
	f.recipient("a@example.com", "", rookery.KindUnavailable)
	f.live.away = false
	f.recipient("a@example.com", "", rookery.KindNotFound)
}

func TestWhoIsDisabledDoesNotSignIn(t *testing.T) {
	f := open(t)
	r := person("anna", "a@example.com")
	f.table.put(r, time.Time{})
	f.live.people["anna"] = r.Entry
	if e, err := f.Authenticate(t.Context(), "anna", "x"); e.Key != "d/anna" || err != nil {
		t.Fatal(e, err)
	}
	row := f.table.rows["d/anna"]
	row.Disabled = true
	f.table.rows["d/anna"] = row
	f.Changed([]string{"d/anna"}, nil)
	_, err := f.Authenticate(t.Context(), "anna", "x")
	if !rookery.Is(err, rookery.KindDisabled) || directory.Told(err) != directory.CauseDisabled {
		t.Error(err)
	}
	// An old copy is not believed over the directory.
	f.Copy.o.Fresh = func() bool { return false }
	if _, err := f.Authenticate(t.Context(), "anna", "x"); err != nil || len(f.Standing([]string{"d/anna"})) > 0 {
		t.Error(err)
	}
	f.Copy.o.Fresh = nil
	f.recipient("a@example.com", "d/anna", 0)
	f.table.put(person("bert"), f.now)
	want := map[string]directory.Standing{"d/anna": directory.Disabled, "d/bert": directory.Gone}
	if d := cmp.Diff(want, f.Standing([]string{"d/anna", "d/bert", "d/nobody"})); d != "" {
		t.Error(d)
	}
}

// What was read is remembered until it changes, and not what was read before a
// change that came meanwhile.
func TestAnswersAreRemembered(t *testing.T) {
	f := open(t)
	f.table.put(person("anna", "a@example.com"), time.Time{})
	for range 3 {
		f.recipient("a@example.com", "d/anna", 0)
	}
	if f.table.reads != 1 {
		t.Errorf("%d reads", f.table.reads)
	}
	f.table.put(person("bert", "a@example.com"), time.Time{})
	f.Changed([]string{"d/bert"}, []string{"a:a@example.com"})
	f.recipient("a@example.com", "", rookery.KindUnavailable)
	_, _, changes := f.recall("a:x@example.com")
	f.Changed(nil, nil)
	f.keep("a:x@example.com", []*record{{}}, changes)
	if _, known, _ := f.recall("a:x@example.com"); known {
		t.Error("what was read before a change is remembered after it")
	}
}

func list(key string, members ...string) directory.Record {
	r := person(key, key+"@example.com")
	r.List = &directory.List{}
	for _, m := range members {
		r.List.Members = append(r.List.Members, directory.NormalDN("cn="+m+",dc=example"))
	}
	return r
}

func TestListsAreExpanded(t *testing.T) {
	f := open(t)
	for _, p := range []string{"anna", "bert", "cleo", "dora"} {
		f.table.put(person(p, p+"@example.com"), time.Time{})
	}
	gone := person("gone", "gone@example.com")
	f.table.put(gone, f.now.Add(-365*24*time.Hour))
	f.table.put(person("printer"), time.Time{})
	all := list("all", "anna", "team", "other", "nobody", "gone", "printer")
	all.List.External = []string{"x@far.example", "no address"}
	f.table.put(all, time.Time{})
	team := list("team", "anna", "bert", "deep")
	team.List.Uids = []string{"Cleo", "nouid"}
	f.table.put(team, time.Time{})
	f.table.put(list("deep", "all"), time.Time{})
	f.table.put(list("other", "team"), time.Time{})
	says := person("dora", "dora@example.com")
	says.Groups = []string{"d/deep"}
	f.table.put(says, time.Time{})

	x, err := f.Expand(t.Context(), "d/all")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, e := range x.Accounts {
		keys = append(keys, e.Key)
	}
	if d := cmp.Diff([]string{"d/anna", "d/bert", "d/cleo", "d/dora"}, keys); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]rookery.Address{addr("x@far.example")}, x.External); d != "" {
		t.Error(d)
	}
	missing := []string{"CN=printer, DC=Example", "cn=gone,dc=example", "cn=nobody,dc=example", "no address", "nouid"}
	if d := cmp.Diff(missing, x.Missing); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"CN=all, DC=Example > CN=team, DC=Example > CN=deep, DC=Example > CN=all, DC=Example"}, x.Loops); d != "" {
		t.Error(d)
	}
	for who, want := range map[string]bool{"d/dora": true, "d/deep": true, "d/printer": false, "d/all": false} {
		if is, err := f.Member(t.Context(), "d/all", who); is != want || err != nil {
			t.Errorf("%s is a member: %v %v", who, is, err)
		}
	}
	groups, err := f.Groups(t.Context(), "d/dora")
	if d := cmp.Diff([]string{"d/all", "d/deep", "d/other", "d/team"}, groups); d != "" || err != nil {
		t.Error(d, err)
	}
	if groups, err = f.Groups(t.Context(), "d/cleo"); len(groups) != 4 || err != nil {
		t.Error(groups, err)
	}
	// A list is nobody's mailbox.
	f.recipient("all@example.com", "", rookery.KindNotFound)
	f.live.away = true
	f.recipient("all@example.com", "", rookery.KindUnavailable)
	if r, err := f.List(t.Context(), addr("All+x@example.com")); r.Key != "d/all" || err != nil {
		t.Error(r.Key, err)
	}
	for _, a := range []string{"anna@example.com", "nobody@example.com"} {
		if _, err := f.List(t.Context(), addr(a)); !rookery.Is(err, rookery.KindNotFound) {
			t.Error(err)
		}
	}
	if _, err := f.Expand(t.Context(), "d/anna"); !rookery.Is(err, rookery.KindNotFound) {
		t.Error(err)
	}
}

// A list of more than MaxExpanded is refused, not cut.
func TestLargeListsAreRefused(t *testing.T) {
	f := open(t)
	for at := range 11 {
		l := list(fmt.Sprint("part", at))
		for i := range 1000 {
			l.List.External = append(l.List.External, fmt.Sprintf("%d.%d@far.example", at, i))
		}
		f.table.put(l, time.Time{})
	}
	f.table.put(list("nine", "part0", "part1", "part2", "part3", "part4", "part5", "part6", "part7", "part8"), time.Time{})
	f.table.put(list("eleven", "nine", "part9", "part10"), time.Time{})
	if x, err := f.Expand(t.Context(), "d/nine"); len(x.External) != 9000 || err != nil {
		t.Error(len(x.External), err)
	}
	if _, err := f.Expand(t.Context(), "d/eleven"); !rookery.Is(err, rookery.KindTooLarge) {
		t.Error(err)
	}
}

// What cannot be read is as if it were not there: the directory is asked.
func TestDamagedEntriesAreAskedFor(t *testing.T) {
	f := open(t)
	f.table.put(person("anna", "a@example.com"), time.Time{})
	f.table.rows["d/anna"] = Row{Key: "d/anna", Value: []byte{99}}
	f.live.people["a@example.com"] = directory.Entry{Key: "d/live"}
	f.recipient("a@example.com", "d/live", 0)
}

func BenchmarkRecipient(b *testing.B) {
	s := &table{map[string]Row{}, map[string][]string{}, 0}
	var all []rookery.Address
	for i := range 10_000 {
		r := person(fmt.Sprint("user", i), fmt.Sprintf("user%d@example.com", i))
		s.put(r, time.Time{})
		all = append(all, r.Primary)
	}
	c := New(Options{State: s, Live: &live{}})
	for i := 0; b.Loop(); i++ {
		if _, err := c.Recipient(b.Context(), all[i*7919%len(all)]); err != nil {
			b.Fatal(err)
		}
	}
}
