package node

import (
	"strings"
	"testing"

	"rookery"
	"rookery/cmd/node/adminapi"
)

// queueingNode is a node whose mail for other systems waits: its smart host does
// not answer.
func queueingNode(t *testing.T) (*Node, *adminapi.Client) {
	t.Helper()
	cfg := testConfig(t)
	cfg.Listen.Submission = []string{"127.0.0.1:0"}
	n := startNode(t, cfg, testDeps(t, directoryServer(t)))
	if err := change(t, cfg, "outbound.smarthost", "127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	if err := change(t, cfg, "outbound.queue_messages", "1"); err != nil {
		t.Fatal(err)
	}
	return n, adminapi.New(cfg.Admin)
}

// Administrators hear from the status that a group's queue is about to refuse mail.
func TestStatusTellsOfAFullQueue(t *testing.T) {
	n, admin := queueingNode(t)
	alarm := func() bool {
		st, err := admin.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(strings.Join(st.Problems, "\n"), "its queue for other systems is full, and senders are told to try again "+
			"(452): 1 of 1 messages (100%)")
	}
	if alarm() {
		t.Error("an alarm while nothing waits")
	}
	submit(t, n, login(0), "From: "+login(0)+"\r\nSubject: x\r\n\r\nhi\r\n", "a@elsewhere.example")
	until(t, "the alarm", alarm)
	until(t, "no alarm", func() bool { // what a courier just tries cannot be cancelled, and is a moment later
		if _, err := admin.SteerQueue(t.Context(), "cancel", adminapi.QueueOrder{All: true}); err != nil {
			t.Fatal(err)
		}
		return !alarm()
	})
}

// A message in the queue is shown whole and as it would be sent, to who gives a
// reason, and the audit has it.
func TestContentOfTheQueueIsShownForAReason(t *testing.T) {
	n, admin := queueingNode(t)
	text := strings.Repeat("0123456789abcdef0123456789abcdef\r\n", 70_000) // three parts
	submit(t, n, login(0), "From: "+login(0)+"\r\nSubject: large\r\n\r\n"+text, "a@elsewhere.example")
	l, err := admin.Queue(t.Context(), adminapi.QueueFilter{}, 10)
	if err != nil || len(l.Entries) != 1 {
		t.Fatalf("%+v %v", l, err)
	}
	id := l.Entries[0].ID
	read := func(id, reason string) (got []byte, parts int, err error) {
		err = admin.QueueContent(t.Context(), adminapi.ContentOrder{ID: id, Reason: reason}, func(p []byte) error {
			got = append(got, p...)
			parts++
			return nil
		})
		return got, parts, err
	}
	for _, reason := range []string{"", " ", strings.Repeat("x", 501)} {
		if got, _, err := read(id, reason); !rookery.Is(err, rookery.KindInvalid) || len(got) > 0 {
			t.Errorf("%d bytes, %v, for the reason %.20q", len(got), err, reason)
		}
	}
	if _, _, err := read("nosuch", "Ticket 4711"); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("nothing has the id: %v", err)
	}
	whole, _, _ := strings.Cut(id, ".")
	for _, id := range []string{id, whole} {
		got, parts, err := read(id, "Ticket 4711")
		if err != nil || parts != 3 {
			t.Fatalf("%d parts, %v", parts, err)
		}
		head, body, _ := strings.Cut(string(got), "\r\n\r\n")
		if body != text || !strings.Contains(head, "\r\nSubject: large") || strings.Contains(head, "Return-Path:") {
			t.Errorf("%d bytes of text; %q", len(body), head)
		}
	}
	found := 0
	if err := admin.Audit(t.Context(), adminapi.AuditQuery{Verb: "queue show -content"}, func(c adminapi.AuditedCall) error {
		if strings.Contains(c.Args, "Ticket 4711") && strings.Contains(c.Args, id) && c.Outcome == "done" {
			found++
		}
		if strings.Contains(c.Args+c.Outcome, "0123456789") {
			t.Errorf("the audit has the message: %.200s", c.Args+c.Outcome)
		}
		return nil
	}); err != nil || found != 1 {
		t.Errorf("the audit has it %d times, %v", found, err)
	}
}
