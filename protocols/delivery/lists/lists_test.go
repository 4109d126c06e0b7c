package lists

import (
	"errors"
	"strings"
	"testing"

	"rookery"
	"rookery/directory"
)

func TestWhoMaySendToAList(t *testing.T) {
	address := func(s string) rookery.Address {
		a, err := rookery.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	here := &directory.Entry{Key: "here", DN: "UID=here", Addresses: []rookery.Address{address("here@example.com")}}
	other := &directory.Entry{Key: "other", DN: "uid=other", Addresses: []rookery.Address{address("other@example.com")}}
	members := []string{"here", "boss"}
	for name, c := range map[string]struct {
		rules directory.List
		user  *directory.Entry
		from  string
		may   string // or who may
	}{
		"anybody":                  {directory.List{}, nil, "x@else.example", ""},
		"inside, from outside":     {directory.List{InsideOnly: true}, nil, "here@example.com", "signed in"},
		"inside, a bounce":         {directory.List{InsideOnly: true}, nil, "", "signed in"},
		"inside, signed in":        {directory.List{InsideOnly: true}, other, "other@example.com", ""},
		"members, one":             {directory.List{MembersOnly: true}, here, "here@example.com", ""},
		"members, by address":      {directory.List{MembersOnly: true}, nil, "BOSS@example.com", ""},
		"members, an external":     {directory.List{MembersOnly: true, External: []string{"x@else.example"}}, nil, "x@else.example", ""},
		"members, another":         {directory.List{MembersOnly: true}, other, "here@example.com", "only its members"},
		"members, a bounce":        {directory.List{MembersOnly: true}, nil, "", "only its members"},
		"named, a bounce":          {directory.List{Senders: []string{"uid=here"}}, nil, "", "named for it"},
		"moderated, a bounce":      {directory.List{Moderators: []string{"uid=here"}}, nil, "", "moderators"},
		"anybody, a bounce":        {directory.List{}, nil, "", ""},
		"named, by DN":             {directory.List{Senders: []string{"uid=here"}}, here, "here@example.com", ""},
		"named, by DN, outside":    {directory.List{Senders: []string{"uid=here"}}, nil, "here@example.com", ""},
		"named, by address":        {directory.List{Senders: []string{"X@else.example"}}, nil, "X@ELSE.example", ""},
		"named, another":           {directory.List{Senders: []string{"uid=here"}}, other, "other@example.com", "named for it"},
		"moderated, a moderator":   {directory.List{Moderators: []string{"uid=here"}}, here, "here@example.com", ""},
		"moderated, as a stranger": {directory.List{Moderators: []string{"here@example.com"}}, nil, "here@example.com", "moderators"},
	} {
		c.rules.Members = members
		who := directory.Expansion{}
		for _, m := range members {
			a := address(m + "@example.com")
			who.Accounts = append(who.Accounts, directory.Entry{Key: m, DN: "uid=" + m, Addresses: []rookery.Address{a}})
		}
		for _, x := range c.rules.External {
			who.External = append(who.External, address(x))
		}
		l := New(address("l@example.com"), &directory.Record{List: &c.rules}, who)
		err := l.MaySend(c.user, c.from)
		if c.may == "" && err != nil || c.may != "" && (!errors.Is(err, ErrNotForYou) || !strings.Contains(err.Error(), c.may)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
