package node

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
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
