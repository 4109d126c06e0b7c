package listen

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// A refusal is one line with the same fields whatever it came to, bounded, and
// nothing in it makes another line.
func TestRefusalIsOneLine(t *testing.T) {
	var b bytes.Buffer
	evil := "x\nlevel=ERROR msg=\"all is lost\"\r\x1b[2J\u202e" + strings.Repeat("y", 9000) + "\xff"
	log := slog.New(slog.NewTextHandler(&b, nil))
	Refusal{Protocol: "smtp", Session: "s", Client: "192.0.2.1", User: evil, Command: "RCPT", From: evil, To: evil, Code: "451", Why: evil,
		Deferred: true, Err: errors.New(evil)}.Log(log)
	line := b.String()
	if strings.Count(line, "\n") != 1 || strings.ContainsAny(line, "\r\x1b\u202e") || len(line) > 5000 ||
		!strings.Contains(line, "level=WARN msg=deferred protocol=smtp session=s client=192.0.2.1 user=") {
		t.Errorf("%d bytes: %q", len(line), line)
	}
	b.Reset()
	Refusal{Protocol: "imap", Code: "OVERQUOTA", Why: "The mailbox is full", Command: "APPEND"}.Log(log)
	if !strings.HasSuffix(b.String(), "level=INFO msg=refused protocol=imap command=APPEND code=OVERQUOTA why=\"The mailbox is full\"\n") {
		t.Errorf("%q", b.String())
	}
}
