package policy

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/directory"
)

// text is a message in memory.
type text string

func (s text) Head() []byte                 { return []byte(s) }
func (s text) Size() int64                  { return int64(len(s)) }
func (s text) Open() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(s))), nil }

// always answers every message the same.
type always struct {
	Base
	v Verdict
}

func (f always) Begin(Connection) Transaction                { return f }
func (f always) OnMessage(context.Context, *Message) Verdict { return f.v }

func TestChainDecides(t *testing.T) {
	field := func(a Action, name string) Filter {
		return always{v: Verdict{Action: a, Reply: Reply{Text: name}, Add: []Field{{name, ""}}}}
	}
	for _, c := range []struct {
		chain Chain
		want  Action
		text  string
		added string
	}{
		{nil, GoOn, "", ""},
		{Chain{field(GoOn, "a"), field(GoOn, "b")}, GoOn, "", "ab"},
		{Chain{field(Hold, "a"), field(Junk, "b")}, Hold, "", "ab"},
		{Chain{field(Junk, "a"), field(Refuse, "b"), field(Drop, "c")}, Refuse, "b", "b"},
		{Chain{field(Defer, "a"), field(Refuse, "b")}, Defer, "a", "a"},
	} {
		v := c.chain.Begin(Connection{}).OnMessage(t.Context(), &Message{})
		added := ""
		for _, f := range v.Add {
			added += f.Name
		}
		if v.Action != c.want || v.Reply.Text != c.text || added != c.added || (v.Err() == nil) != (c.want < Defer) {
			t.Errorf("%v: %v %q added %q, err %v; want %v", c.chain, v.Action, v.Reply.Text, added, v.Err(), c.want)
		}
	}
}

func TestSubmission(t *testing.T) {
	anna := rookery.Address{Local: "anna", Domain: "example.com"}
	bert := rookery.Address{Local: "bert", Domain: "example.com"}
	user := &directory.Entry{Primary: anna, Addresses: []rookery.Address{anna}}
	whole := "Date: x\r\nMessage-ID: <x@y>\r\n"
	for _, c := range []struct {
		check   bool
		from    rookery.Address
		message string
		want    int // code, 0 goes on
		added   string
	}{
		{true, anna, whole + "From: anna@example.com\r\n\r\n", 0, ""},
		{true, rookery.Address{}, whole + "From: anna@example.com\r\n\r\n", 0, ""},
		{true, bert, whole, 553, ""},
		{true, anna, "From: bert@example.com\r\n\r\n", 550, ""},
		{true, anna, "From: ?\r\n\r\n", 554, ""},
		{false, bert, "From: bert@example.com\r\n\r\n", 0, "Date=Thu, 1 Jan 1970 00:00:00 +0000;Message-ID=<s.m@h>;"},
		{false, bert, strings.Repeat("Received: x\r\n", 101) + "\r\n", 554, ""},
	} {
		chain := New(Options{Hostname: "h", CheckSender: func() bool { return c.check },
			Clock: func() time.Time { return time.Unix(0, 0).UTC() }}).Submission
		tr := chain.Begin(Connection{Session: "s"})
		v := tr.OnMail(t.Context(), Sender{Address: c.from, User: user})
		if v.Action == GoOn {
			v = tr.OnMessage(t.Context(), &Message{Content: text(c.message), ID: "m"})
		}
		added := ""
		for _, f := range v.Add {
			added += f.Name + "=" + f.Value + ";"
		}
		if v.Reply.Code != c.want || added != c.added {
			t.Errorf("%+v: %+v", c, v)
		}
	}
}

func TestNoRelayingForStrangers(t *testing.T) {
	tr := New(Options{}).MX.Begin(Connection{})
	if v := tr.OnRecipient(t.Context(), Recipient{}); v.Action != Refuse || v.Reply.Code != 550 {
		t.Errorf("%+v", v)
	}
	if v := tr.OnRecipient(t.Context(), Recipient{Local: true}); v.Action != GoOn {
		t.Errorf("%+v", v)
	}
}
