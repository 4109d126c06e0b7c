package trace

import (
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// A message's story is told in sentences, in order, and nothing that a stranger
// wrote reaches the terminal as it is.
func TestText(t *testing.T) {
	at := time.Date(2026, 12, 1, 8, 0, 0, 0, time.Local)
	story := text(&adminapi.Trace{
		Messages: []adminapi.TracedMessage{{
			ID: "wkm6gffkijqqx", MessageID: "abc@example.com", From: "anna@example.com", Size: 1234, Accepted: at,
			To: []string{"bob@example.org", "carl@example.com", "c@x.example", "d@x.example", "e@x.example", "f@x.example", "g@x.example"},
			Events: []adminapi.TraceEvent{
				{Time: at, Event: "accepted", Node: "node1", Client: "192.0.2.1", Hello: "pc", User: "anna", Protocol: "ESMTPSA", TLS: "TLS1.3 X",
					Places: []adminapi.TracePlace{{Account: "4f", Mailbox: "INBOX", UID: 7}}, MorePlaces: 2, Missed: 1},
				{Time: at, Event: "filed", Places: []adminapi.TracePlace{{Account: "5f", UID: 3}}},
				{Time: at, Event: "deferred", To: "bob@example.org", Attempt: &adminapi.QueueAttempt{Host: "mx.example.org", Addr: "192.0.2.9:25",
					Code: 451, Reply: "later\x1b[2J", TLS: "dane: TLS1.3"}},
				{Time: at, Event: "disabled", To: "bob@example.org"},
				{Time: at, Event: "release", To: "bob@example.org"},
				{Time: at, Event: "failed", To: "bob@example.org", Attempt: &adminapi.QueueAttempt{Addr: "192.0.2.9:25", Reply: "no answer"}},
				{Time: at, Event: "told", To: "anna@example.com", Notification: "n1"},
			},
		}},
		MoreMessages: 3,
		Recent: []adminapi.RecentLine{{Node: "node2", Fields: map[string]any{"time": at.Format(time.RFC3339Nano), "msg": "refused",
			"from": "x@example.net", "code": "550", "why": "no such user"}}},
	})
	for _, want := range []string{
		"wkm6gffkijqqx  from anna@example.com to bob@example.org, carl@example.com, c@x.example, d@x.example, e@x.example and 2 more  1234 bytes",
		"2026-12-01 08:00:00.000  accepted by node1 from 192.0.2.1 (pc), signed in as anna, ESMTPSA TLS1.3 X\n",
		"in INBOX of account 4f, UID 7\n", "in 2 more\n", "not in 1 account, which could not take it\n",
		"filed in another group\n", "in a mailbox that is gone of account 5f, UID 3\n",
		"deferred: bob@example.org at mx.example.org (192.0.2.9:25), dane: TLS1.3: 451 later", "by order: release bob@example.org\n",
		"held: bob@example.org, since the sender's account is disabled or gone\n",
		"failed: bob@example.org at 192.0.2.9:25: no answer\n", "the sender anna@example.com was told by message n1\n", "and 3 more messages",
		"node2  refused  from=x@example.net  code=550  why=no such user\n",
	} {
		if !strings.Contains(story, want) {
			t.Errorf("no %q in:\n%s", want, story)
		}
	}
	if strings.ContainsAny(story, "\x1b") {
		t.Errorf("a stranger's escape reaches the terminal: %q", story)
	}
}

// What did not answer, and finding nothing, have exit codes of their own.
func TestVerdict(t *testing.T) {
	found := []adminapi.RecentLine{{}}
	for _, c := range []struct {
		t    adminapi.Trace
		kind rookery.Kind
	}{
		{adminapi.Trace{Recent: found, Silent: []string{"node node2: away"}}, rookery.KindUnavailable}, {adminapi.Trace{}, rookery.KindNotFound},
	} {
		if err := verdict(&c.t); !rookery.Is(err, c.kind) {
			t.Errorf("%+v: %v", c.t, err)
		}
	}
	if err := verdict(&adminapi.Trace{Recent: found}); err != nil {
		t.Error(err)
	}
}
