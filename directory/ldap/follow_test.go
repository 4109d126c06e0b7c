package ldap

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery"
	"rookery/directory"
	"rookery/directory/embedded"
)

// copied is a copy as a consumer of batches keeps it.
type copied struct {
	mu       sync.Mutex
	all      map[string]directory.Record
	reading  map[string]bool
	complete int
	full     int
	changed  int // records handed over
}

func (c *copied) take(b directory.Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.Full {
		c.full++
		c.reading = map[string]bool{}
	}
	for _, r := range b.Changed {
		c.all[r.Key] = r
		c.changed++
		if c.reading != nil {
			c.reading[r.Key] = true
		}
	}
	for _, key := range b.Gone {
		delete(c.all, key)
	}
	if b.Complete {
		c.complete++
		if c.reading != nil {
			maps.DeleteFunc(c.all, func(key string, _ directory.Record) bool { return !c.reading[key] })
			c.reading = nil
		}
	}
	return nil
}

// named is the record with a DN.
func (c *copied) named(dn string) (directory.Record, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.all {
		if directory.NormalDN(r.DN) == directory.NormalDN(dn) {
			return r, true
		}
	}
	return directory.Record{}, false
}

// following holds for every server: what is in it, and what an administrator changes, is
// what a follower hands over.
func following(t *testing.T, cfg Config, admin, password string) {
	cfg.Copy = 100 * time.Millisecond
	d := openDirectory(t, cfg)
	c := &copied{all: map[string]directory.Record{}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Follow(ctx, []byte("no cookie of ours"), c.take) }()
	defer func() {
		cancel()
		<-ended
	}()
	until := func(what string, is func() bool) {
		t.Helper()
		for range 200 {
			select {
			case err := <-ended:
				ended <- err
				t.Fatalf("%s: it ended: %v", what, err)
			default:
			}
			if is() {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatalf("%s: it never came", what)
	}
	rounds := func(n int) int { c.mu.Lock(); defer c.mu.Unlock(); return c.complete + n }
	until("everything is read", func() bool { return rounds(0) > 0 })
	people := 0
	if err := d.Walk(ctx, func(e directory.Entry) error {
		people++
		if r, ok := c.all[e.Key]; !ok || !slices.Equal(r.Addresses, e.Addresses) || r.Quota != e.Quota || r.Disabled != e.Disabled {
			t.Errorf("%s is %+v in the copy", e.DN, r)
		}
		return nil
	}); err != nil || people == 0 {
		t.Fatalf("%d people, %v", people, err)
	}
	alice, ok := c.named("uid=alice,ou=people,dc=example,dc=test")
	if !ok || !slices.Contains(alice.Logins, "alice") || !slices.Contains(alice.Logins, "a.smith@example.test") || alice.List != nil {
		t.Errorf("alice is %+v", alice)
	}
	if bob, ok := c.named("uid=bob,ou=people,dc=example,dc=test"); !ok || !bob.Disabled || bob.DisabledWhy == "" {
		t.Errorf("bob is %+v", bob)
	}

	l, err := goldap.DialURL(cfg.URLs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Bind(admin, password); err != nil {
		t.Fatal(err)
	}
	const newcomer, list = "uid=newcomer,ou=people,dc=example,dc=test", "cn=all hands,ou=people,dc=example,dc=test"
	add := func(dn string, attrs map[string][]string) {
		t.Helper()
		r := goldap.NewAddRequest(dn, nil)
		for k, v := range attrs {
			r.Attribute(k, v)
		}
		if err := l.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	idle, sent := rounds(3), c.changed
	until("three rounds in which nothing happens", func() bool { return rounds(0) >= idle })
	if c.changed != sent || c.full != 1 {
		t.Errorf("nothing changed, and %d records came, %d reads of everything", c.changed-sent, c.full)
	}
	add(newcomer, map[string][]string{"objectClass": {"inetOrgPerson"}, "cn": {"N (*) \\ é"}, "sn": {"x"}, "mail": {"new@example.test"}})
	until("somebody new", func() bool { r, ok := c.named(newcomer); return ok && r.Primary.String() == "new@example.test" })
	was, _ := c.named(newcomer)
	m := goldap.NewModifyRequest(newcomer, nil)
	m.Replace("mail", []string{"newer@example.test"})
	if err := l.Modify(m); err != nil {
		t.Fatal(err)
	}
	until("another address", func() bool {
		r, _ := c.named(newcomer)
		return r.Primary.String() == "newer@example.test" && r.Key == was.Key
	})
	add(list, map[string][]string{"objectClass": {"groupOfNames"}, "cn": {"all hands"},
		"member": {newcomer, "UID=Alice, ou=people,dc=example,dc=test", list, "cn=nobody,dc=example,dc=test"}})
	until("a group", func() bool { r, ok := c.named(list); return ok && r.List != nil && len(r.List.Members) == 4 })
	if r, _ := c.named(list); !slices.Contains(r.List.Members, "uid=alice,ou=people,dc=example,dc=test") || len(r.Logins) > 0 {
		t.Errorf("the group is %+v", r)
	}
	if err := l.Del(goldap.NewDelRequest(newcomer, nil)); err != nil {
		t.Fatal(err)
	}
	until("somebody goes", func() bool { _, ok := c.named(newcomer); return !ok })
	if err := l.Del(goldap.NewDelRequest(list, nil)); err != nil {
		t.Fatal(err)
	}
	until("a group goes", func() bool { _, ok := c.named(list); return !ok })
}

func TestFollowingTheEmbeddedServer(t *testing.T) {
	s := inProcess(t, embedded.Options{})
	following(t, embeddedConfig(s), "cn=admin,dc=example,dc=test", "adminpw")
}

// TestAFollowerEndsWithItsServer: a server that is gone is an error that passes, soon.
func TestAFollowerEndsWithItsServer(t *testing.T) {
	s := inProcess(t, embedded.Options{})
	cfg := impatient(embeddedConfig(s))
	cfg.Copy = 50 * time.Millisecond
	d := openDirectory(t, cfg)
	ended := make(chan error, 1)
	var once sync.Once
	go func() {
		ended <- d.Follow(t.Context(), nil, func(b directory.Batch) error {
			if b.Complete {
				once.Do(func() { s.Close() })
			}
			return nil
		})
	}()
	select {
	case err := <-ended:
		if !rookery.Is(err, rookery.KindUnavailable) || !strings.Contains(err.Error(), "follow directory") {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it goes on without its server")
	}
}

// TestLargeDirectoriesAreAskedForChanges: beyond what is read anew each time, changes come
// all the same, and everything is read now and then.
func TestLargeDirectoriesAreAskedForChanges(t *testing.T) {
	s := inProcess(t, embedded.Options{})
	d := openDirectory(t, embeddedConfig(s))
	c := &copied{all: map[string]directory.Record{}}
	f := &follower{d: d, emit: c.take}
	if err := f.round(t.Context()); err != nil || f.stamp == "" {
		t.Fatalf("%v, latest change %q", err, f.stamp)
	}
	server, err := d.anyServer()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddUser(embedded.User{UID: "late", Mail: "late@example.test"}); err != nil {
		t.Fatal(err)
	}
	sent := c.changed
	if err := f.changes(t.Context(), server, d.profile.Load()); err != nil {
		t.Fatal(err)
	}
	if r, ok := c.named("uid=late,ou=people,dc=example,dc=test"); !ok || r.Primary.String() != "late@example.test" || c.changed != sent+1 {
		t.Errorf("the change is %+v, %d records came", r, c.changed-sent)
	}
}
