package node

import (
	"context"
	"testing"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/test/harness"
)

// Expunged messages are listed and come back, also those of a mailbox that was
// deleted, which is made anew.
func TestExpungedMessagesAreRecovered(t *testing.T) {
	cfg := testConfig(t)
	n := startNode(t, cfg, testDeps(t, directoryServer(t)))
	admin := adminapi.New(cfg.Admin)
	mustEnsure(t, n, login(0))
	for _, subject := range []string{"first", "second", "third"} {
		sendOne(t, n, login(0), "From: Eve <eve@example.net>\r\nSubject: "+subject+"\r\n\r\nhi\r\n")
	}
	user := "a LOGIN " + login(0) + " secret"
	speak(t, n, "imaps", "", "* OK", user, "a OK", "b CREATE Projects", "b OK", "c SELECT INBOX", "c OK",
		"d MOVE 2 Projects", "d OK", "e DELETE Projects", "e OK", `f STORE 1 +FLAGS (\Deleted)`, "f OK", "g EXPUNGE", "g OK",
		"h STATUS INBOX (MESSAGES)", `* STATUS "INBOX" (MESSAGES 1)`)
	var l adminapi.RecoverableList
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience(20*time.Second))
	defer cancel()
	// What a deleted mailbox held comes in little by little.
	if err := harness.Poll(ctx, func() (full bool, err error) {
		l, err = admin.Recoverable(ctx, login(0), adminapi.RecoverOrder{})
		return len(l.Messages) == 2, err
	}); err != nil {
		t.Fatalf("%+v: %v", l, err)
	}
	by := map[string]adminapi.RecoverableMessage{}
	for _, m := range l.Messages {
		by[m.Mailbox] = m
		if m.Subject == "" || m.From != "eve@example.net" || m.Size == 0 || time.Since(m.Expunged) > time.Hour ||
			time.Since(m.Received) > time.Hour {
			t.Errorf("listed as %+v", m)
		}
	}
	if len(by) != 2 || by["INBOX"].Subject != "first" || by["Projects"].Subject != "second" {
		t.Fatalf("listed: %+v", l)
	}
	restore := func(o adminapi.RecoverOrder, want int) {
		t.Helper()
		if l, err := admin.Recover(t.Context(), login(0), o); err != nil || l.Recovered != want {
			t.Errorf("%+v: %d recovered, %v", o, l.Recovered, err)
		}
	}
	if _, err := admin.Recover(t.Context(), login(0), adminapi.RecoverOrder{}); !rookery.Is(err, rookery.KindInvalid) {
		t.Errorf("an order for all that does not say so: %v", err)
	}
	if _, err := admin.Recover(t.Context(), login(0),
		adminapi.RecoverOrder{IDs: []string{by["INBOX"].ID, "1.99"}}); !rookery.Is(err, rookery.KindNotFound) {
		t.Errorf("a message that is not there: %v", err)
	}
	restore(adminapi.RecoverOrder{Since: time.Now().Add(time.Minute), All: true}, 0)
	restore(adminapi.RecoverOrder{IDs: []string{by["INBOX"].ID}, To: "Found again"}, 1)
	restore(adminapi.RecoverOrder{All: true}, 1)
	restore(adminapi.RecoverOrder{All: true}, 0)
	speak(t, n, "imaps", "", "* OK", user, "a OK", `b STATUS "Found again" (MESSAGES)`, `* STATUS "Found again" (MESSAGES 1)`,
		"c STATUS Projects (MESSAGES)", `* STATUS "Projects" (MESSAGES 1)`)
}
