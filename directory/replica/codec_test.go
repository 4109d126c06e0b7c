package replica

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rookery"
	"rookery/directory"
)

func addr(s string) rookery.Address {
	a, err := rookery.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// whole has every field set.
func whole() directory.Record {
	return directory.Record{
		Entry: directory.Entry{Key: "d/1", DN: "CN=Anna,DC=Example", Login: "anna", Name: "Anna", Primary: addr("Anna@example.com"),
			Addresses: []rookery.Address{addr("Anna@example.com"), addr("a@example.com")}, Quota: 5, Disabled: true, Locked: true,
			Forward: []rookery.Address{addr("x@far.example")}, ForwardOnly: true, Host: "old"},
		Logins: []string{"anna", "anna@example.com"}, Groups: []string{"d/9", "cn=g,dc=example"},
		List: &directory.List{Members: []string{"cn=b,dc=example"}, Uids: []string{"u"}, External: []string{"e@far.example"},
			Senders: []string{"s@example.com"}, MembersOnly: true, InsideOnly: true, Moderators: []string{"m@example.com"}, Query: "ldap:///"},
		PasswordChanged: "2026", DisabledWhy: "left", Hidden: true,
	}
}

func TestEveryFieldIsKept(t *testing.T) {
	for _, r := range []directory.Record{whole(), {Entry: directory.Entry{Key: "d/2"}}} {
		c, err := Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(r.Key, c.Value)
		if d := cmp.Diff(r, got); d != "" || err != nil {
			t.Error(d, err)
		}
	}
	c, _ := Encode(whole())
	want := []string{"a:anna@example.com", "a:a@example.com", "l:anna", "l:anna@example.com", "d:cn=anna,dc=example",
		"g:d/9", "g:cn=g,dc=example", "t:list"}
	if d := cmp.Diff(want, c.Index); d != "" || c.Has != 1<<15-1 {
		t.Errorf("%s %b", d, c.Has)
	}
}

// Members that do not fit are counted; what cannot be kept at all is refused.
func TestLargeEntries(t *testing.T) {
	r := directory.Record{Entry: directory.Entry{Key: "d/1"}, List: &directory.List{}}
	for i := range 4000 {
		r.List.Members = append(r.List.Members, fmt.Sprintf("cn=firstname lastname%d,ou=people,dc=example,dc=com", i))
	}
	c, err := Encode(r)
	if got, cut, derr := decode("d/1", c.Value); err != nil || derr != nil || cut != 0 || !slices.Equal(got.List.Members, r.List.Members) {
		t.Errorf("%d members in %d bytes: %v %v, %d cut", len(r.List.Members), len(c.Value), err, derr, cut)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range r.List.Members {
		r.List.Members[i] = fmt.Sprintf("cn=%x", rng.Uint64())
	}
	r.List.Members = slices.Repeat(r.List.Members, 4)
	for i := range r.List.Members {
		r.List.Members[i] += fmt.Sprintf("%x", rng.Uint64())
	}
	c, err = Encode(r)
	if got, cut, derr := decode("d/1", c.Value); err != nil || derr != nil || cut != 16000 || got.List.Members != nil || c.Has&(1<<10) == 0 {
		t.Errorf("%v %v, %d cut, %d kept", err, derr, cut, len(got.List.Members))
	}
	var b strings.Builder
	for range 10000 {
		fmt.Fprintf(&b, "%x", rng.Uint64())
	}
	if _, err := Encode(directory.Record{DisabledWhy: b.String()}); !rookery.Is(err, rookery.KindTooLarge) {
		t.Error(err)
	}
	if _, err := Encode(directory.Record{Groups: many(1025)}); !rookery.Is(err, rookery.KindTooLarge) {
		t.Error(err)
	}
	c, err = Encode(directory.Record{Logins: []string{strings.Repeat("x", 600), "a\x00b"}})
	if err != nil || len(c.Index) != 2 || len(c.Index[0]) > MaxIndex || c.Index[1] != "l:ab" {
		t.Error(c.Index, err)
	}
}

func many(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func FuzzDecode(f *testing.F) {
	for _, r := range []directory.Record{whole(), {}, {Logins: []string{strings.Repeat("x", packFrom)}}} {
		c, _ := Encode(r)
		f.Add(c.Value)
	}
	f.Add([]byte{formatPacked, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode("d/1", b)
		if err != nil {
			if !rookery.Is(err, rookery.KindDamaged) {
				t.Error(err)
			}
			return
		}
		c, err := Encode(r)
		if rookery.Is(err, rookery.KindTooLarge) {
			return
		}
		if _, err := Decode("d/1", c.Value); err != nil {
			t.Errorf("what was read is not read again: %v", err)
		}
	})
}
