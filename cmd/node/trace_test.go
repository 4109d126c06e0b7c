package node

import (
	"bytes"
	"log/slog"
	"net/smtp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery/cmd/node/adminapi"
)

// kept is a log that is kept.
type kept struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (k *kept) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.b.Write(p)
}

func (k *kept) with(text string) (lines []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for line := range strings.Lines(k.b.String()) {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

// An accepted message is one line with its recipients and its Message-ID; an
// APPEND that is refused is one with the fields of every refusal.
func TestMessagesLeaveATrace(t *testing.T) {
	log, deps := &kept{}, testDeps(t, directoryServer(t))
	deps.Logger = slog.New(slog.NewTextHandler(log, nil))
	n := startNode(t, testConfig(t), deps)
	sendOne(t, n, login(0), "Message-ID: <abc@example.net>\r\nSubject: a secret\r\n\r\nhi\r\n")
	got := log.with("message accepted")
	if len(got) != 1 || !strings.Contains(got[0], "to="+login(0)) || !strings.Contains(got[0], "message_id=abc@example.net") ||
		!strings.Contains(got[0], "from="+login(1)) || strings.Contains(got[0], "a secret") {
		t.Errorf("%q", got)
	}
	speak(t, n, "imaps", "", "* OK", "a LOGIN "+login(0)+" secret", "a OK", "b APPEND INBOX {1000000000}", "b NO")
	refused := log.with("msg=refused")
	if len(refused) != 1 || !strings.Contains(refused[0], "protocol=imap session=") ||
		!strings.Contains(refused[0], "user=user0 command=APPEND") {
		t.Errorf("%q", refused)
	}
}

// What became of a message is known afterwards, and what was refused, also by who
// asks after a restart.
func TestTrace(t *testing.T) {
	cfg, deps := testConfig(t), testDeps(t, directoryServer(t))
	n := startNode(t, cfg, deps)
	sendOne(t, n, login(0), "Message-ID: <abc@example.net>\r\nSubject: a secret\r\n\r\nhi\r\n")
	stranger, err := smtp.Dial(n.Addrs()["smtp"][0])
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if err := stranger.Mail("x@example.net"); err != nil {
		t.Fatal(err)
	}
	if err := stranger.Rcpt("nobody@example.com"); err == nil {
		t.Fatal("nobody was accepted as a recipient")
	}
	check := func(n *Node) {
		t.Helper()
		for name, f := range map[string]adminapi.TraceFilter{
			"recipient": {Recipient: strings.ToUpper(login(0))}, "sender": {Sender: login(1)}, "message id": {MessageID: "<abc@example.net>"},
			"domain": {Recipient: "@" + strings.SplitN(login(0), "@", 2)[1]},
		} {
			got, err := n.trace.Trace(t.Context(), f)
			if err != nil || len(got.Silent) > 0 || len(got.Messages) != 1 {
				t.Fatalf("%s: %+v, %v", name, got, err)
			}
			m := &got.Messages[0]
			if m.From != login(1) || !slices.Equal(m.To, []string{login(0)}) || m.MessageID != "abc@example.net" || len(m.Events) != 1 {
				t.Fatalf("%s: %+v", name, m)
			}
			e := &m.Events[0]
			if e.Event != "accepted" || e.Node != cfg.Name || e.Client != "127.0.0.1" || len(e.Places) != 1 || e.Places[0].Mailbox != "INBOX" ||
				e.Places[0].UID != 1 {
				t.Errorf("%s: %+v", name, e)
			}
			if got, err = n.trace.Trace(t.Context(), adminapi.TraceFilter{ID: m.ID}); err != nil || len(got.Messages) != 1 {
				t.Errorf("by its id: %+v, %v", got, err)
			}
		}
		for name, f := range map[string]adminapi.TraceFilter{
			"another recipient": {Recipient: login(2)}, "too early": {Until: time.Now().Add(-time.Hour)}, "another id": {ID: "x"},
		} {
			if got, err := n.trace.Trace(t.Context(), f); err != nil || len(got.Messages) != 0 {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
		got, err := n.trace.Trace(t.Context(), adminapi.TraceFilter{Recipient: "nobody@example.com"})
		if err != nil || len(got.Messages) != 0 || len(got.Recent) != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
		if l := &got.Recent[0]; l.Node != cfg.Name || l.Fields["msg"] != "refused" || l.Fields["from"] != "x@example.net" ||
			l.Fields["code"] != "550" {
			t.Errorf("%+v", l)
		}
	}
	check(n)
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(startNode(t, cfg, deps))
}
