package node

import (
	"strings"
	"testing"

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
	if _, err := admin.SteerQueue(t.Context(), "cancel", adminapi.QueueOrder{All: true}); err != nil {
		t.Fatal(err)
	}
	until(t, "no alarm", func() bool { return !alarm() })
}
