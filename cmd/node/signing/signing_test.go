package signing

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"rookery"
	"rookery/cmd/node/replicas"
	ours "rookery/protocols/outbound/dkim"
	"rookery/protocols/outbound/publish"
	"rookery/storage/command"
	"rookery/storage/system"
)

// cluster is the system group, a settings key and the DNS in memory.
type cluster struct {
	follower bool
	rows     map[string]system.SigningKeys
	version  int // of the settings key
	lost     int // a version that is not here
	zone     map[string]string
	dns      error
	asked    int
	now      time.Time
	commits  int
}

func (c *cluster) Leads(rookery.GroupID) bool                     { return !c.follower }
func (c *cluster) Barrier(context.Context, rookery.GroupID) error { return nil }
func (c *cluster) Follow(context.Context, time.Duration, func(), ...replicas.Topic) error {
	return nil
}

func (c *cluster) Commit(_ context.Context, _ rookery.GroupID, x command.Command) error {
	set := x.(*command.SetSigningKeys)
	if c.rows[set.Domain].Version != set.Version {
		return rookery.E("set", rookery.KindConflict, fmt.Errorf("version %d", set.Version))
	}
	c.commits++
	c.rows[set.Domain] = system.SigningKeys{Domain: set.Domain, Version: set.Version + 1, Keys: slices.Clone(set.Keys)}
	return nil
}

func (c *cluster) SigningKeys() (all []system.SigningKeys, err error) {
	for _, x := range c.rows {
		all = append(all, x)
	}
	return all, nil
}

func (c *cluster) Seal(place, secret string) (string, error) {
	return fmt.Sprintf("%d|%s|%s", c.version, place, secret), nil
}

func (c *cluster) Open(place, sealed string) (string, error) {
	f := strings.SplitN(sealed, "|", 3)
	if len(f) != 3 || f[1] != place {
		return "", rookery.E("open", rookery.KindDamaged, fmt.Errorf("sealed for %q, not %q", f, place))
	}
	if f[0] == fmt.Sprint(c.lost) {
		return "", rookery.E("open", rookery.KindUnavailable, fmt.Errorf("no version %s", f[0]))
	}
	return f[2], nil
}

func (c *cluster) IsCurrent(sealed string) bool {
	return strings.HasPrefix(sealed, fmt.Sprintf("%d|", c.version))
}

func (c *cluster) MX(context.Context, string) ([]publish.Exchanger, error) { panic("not asked") }
func (c *cluster) PTR(context.Context, netip.Addr) ([]string, error)       { panic("not asked") }
func (c *cluster) Addresses(context.Context, string, bool) ([]netip.Addr, error) {
	panic("not asked")
}

func (c *cluster) TXT(_ context.Context, name string) ([]string, error) {
	c.asked++
	if c.dns != nil {
		return nil, c.dns
	}
	if text, ok := c.zone[name]; ok {
		return []string{text}, nil
	}
	return nil, rookery.E("ask", rookery.KindNotFound, fmt.Errorf("no %s", name))
}

// publish puts all keys into the zone.
func (c *cluster) publish() {
	for _, x := range c.rows {
		for _, k := range x.Keys {
			c.zone[ours.RecordName(k.Selector, x.Domain)] = k.Record
		}
	}
}

func newCluster(domains ...string) (*cluster, *Service) {
	c := &cluster{rows: map[string]system.SigningKeys{}, version: 1, lost: -1, zone: map[string]string{},
		now: time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)}
	s := New(Options{Groups: c, Keys: c, Sealer: c, Resolver: c, Changed: func() {}, Clock: func() time.Time { return c.now }})
	s.Use(domains)
	return c, s
}

// step does what Run does.
func step(t *testing.T, c *cluster, s *Service) {
	t.Helper()
	if !c.follower {
		if err := s.tend(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Load(); err != nil {
		t.Fatal(err)
	}
}

func states(x system.SigningKeys) string {
	var all []string
	for _, k := range x.Keys {
		all = append(all, ours.Kind(k.Kind).String()+" "+ours.State(k.State).String())
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

const text = "From: Anna <anna@%s>\r\nTo: b@far.example\r\nSubject: x\r\nDate: Mon, 30 Nov 2026 12:00:00 +0000\r\n\r\nhello\r\n"

// verify signs a message of a domain and says which selectors verify.
func verify(t *testing.T, c *cluster, s *Service, domain string) (selectors []string) {
	t.Helper()
	message := fmt.Sprintf(text, domain)
	fields, err := s.Sign(strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	got, err := dkim.VerifyWithOptions(bytes.NewReader(append(fields, message...)), &dkim.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			selectors = append(selectors, strings.Split(name, ".")[0])
			return c.TXT(t.Context(), name)
		}})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range got {
		if v.Err != nil {
			t.Errorf("%s: %v", v.Domain, v.Err)
		}
	}
	slices.Sort(selectors)
	return selectors
}

// The first keys of a domain are made once and sign at once, those of each domain
// for it alone.
func TestFirstKeysSignAtOnce(t *testing.T) {
	c, s := newCluster("example.com", "Example.NET")
	for range 3 {
		step(t, c, s)
	}
	if c.commits != 2 || c.asked != 0 {
		t.Errorf("%d changes, %d questions", c.commits, c.asked)
	}
	for _, d := range []string{"example.com", "example.net"} {
		if got := states(c.rows[d]); got != "ed25519 active, rsa active" {
			t.Errorf("%s has %s", d, got)
		}
	}
	c.publish()
	for _, from := range []string{"example.com", "sub.example.net"} {
		if got := verify(t, c, s, from); !slices.Equal(got, []string{"ed25519-20261130", "rsa-20261130"}) {
			t.Errorf("%s is signed with %v", from, got)
		}
	}
	for _, from := range []string{"example.org", "notexample.com"} {
		if fields, err := s.Sign(strings.NewReader(fmt.Sprintf(text, from))); len(fields) > 0 || err != nil {
			t.Errorf("%s: %q %v", from, fields, err)
		}
	}
	s.Use([]string{"example.com"})
	if fields, err := s.Sign(strings.NewReader(fmt.Sprintf(text, "example.net"))); len(fields) > 0 || err != nil {
		t.Errorf("a domain that is served no more: %q %v", fields, err)
	}
}

// Who does not lead makes nothing and signs with what the leader has made.
func TestFollowersSign(t *testing.T) {
	c, s := newCluster("example.com")
	c.follower = true
	step(t, c, s)
	if c.commits != 0 {
		t.Error("a follower made keys")
	}
	leader := New(s.o)
	leader.Use([]string{"example.com"})
	if err := leader.tend(t.Context()); err != nil {
		t.Fatal(err)
	}
	step(t, c, s)
	c.publish()
	if got := verify(t, c, s, "example.com"); len(got) != 2 {
		t.Errorf("signed with %v", got)
	}
}

// A later key waits until its record has been seen for the lead; its forerunner
// signs until then, and is destroyed after the overlap.
func TestLaterKeysWaitForTheirRecord(t *testing.T) {
	c, s := newCluster("example.com")
	step(t, c, s)
	first := slices.Clone(c.rows["example.com"].Keys)
	schedule := s.o.Schedule
	pass := func(d time.Duration, want string) {
		t.Helper()
		for end := c.now.Add(d); c.now.Before(end); {
			c.now = c.now.Add(min(6*time.Hour, end.Sub(c.now)))
			step(t, c, s)
		}
		if got := states(c.rows["example.com"]); got != want {
			t.Fatalf("at %s: %s, want %s", c.now, got, want)
		}
	}
	const waiting = "ed25519 active, ed25519 prepared, rsa active, rsa prepared"
	pass(schedule.Period-2*schedule.Lead-time.Hour, "ed25519 active, rsa active")
	pass(20*24*time.Hour, waiting)
	c.dns = rookery.E("ask", rookery.KindUnavailable, context.DeadlineExceeded)
	pass(24*time.Hour, waiting)
	c.dns = nil
	c.publish()
	pass(schedule.Lead-12*time.Hour, waiting)
	clear(c.zone) // seen with a gap: it counts from the beginning
	pass(12*time.Hour, waiting)
	c.publish()
	pass(schedule.Lead-12*time.Hour, waiting)
	if got := verify(t, c, s, "example.com"); got[0] != "ed25519-20261130" {
		t.Errorf("signed with %v", got)
	}
	pass(24*time.Hour, "ed25519 active, ed25519 retired, rsa active, rsa retired")
	if got := verify(t, c, s, "example.com"); len(got) != 2 || got[0] == "ed25519-20261130" {
		t.Errorf("signed with %v", got)
	}
	pass(schedule.Overlap, "ed25519 active, rsa active")
	for _, k := range c.rows["example.com"].Keys {
		if slices.Contains(first, k) {
			t.Errorf("the key %s is still there", k.Selector)
		}
	}
	if c.asked > 40*24*2*2 {
		t.Errorf("%d questions to the DNS", c.asked)
	}
}

// Another settings key seals all keys anew, and they stay the same.
func TestKeysAreSealedAnew(t *testing.T) {
	c, s := newCluster("example.com")
	step(t, c, s)
	c.publish()
	c.version = 2
	if done, err := s.SealedAnew(); done || err != nil {
		t.Fatal(done, err)
	}
	if err := s.SealAnew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if done, err := s.SealedAnew(); !done || err != nil {
		t.Fatal(done, err)
	}
	c.lost = 1
	step(t, c, s)
	if got := verify(t, c, s, "example.com"); len(got) != 2 {
		t.Errorf("signed with %v", got)
	}
}

// Mail is not sent unsigned because a key cannot be opened: it waits.
func TestKeysThatCannotBeOpenedKeepMailWaiting(t *testing.T) {
	c, s := newCluster("example.com")
	step(t, c, s)
	c.publish()
	c.lost = 1
	cold := New(s.o)
	cold.Use([]string{"example.com"})
	step(t, c, cold)
	if _, err := cold.Sign(strings.NewReader(fmt.Sprintf(text, "example.com"))); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("%v", err)
	}
	c.lost = -1
	step(t, c, cold)
	if got := verify(t, c, cold, "example.com"); len(got) != 2 {
		t.Errorf("signed with %v", got)
	}
}
