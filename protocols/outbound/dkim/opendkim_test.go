package dkim

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startOpenDKIM starts opendkim as a filter that knows the keys' records, and
// dials it.
func startOpenDKIM(t *testing.T) *milter {
	t.Helper()
	path, err := exec.LookPath("opendkim")
	if errors.Is(err, exec.ErrNotFound) {
		path, err = exec.LookPath("/usr/sbin/opendkim")
	}
	if err != nil {
		t.Skip("skipped: opendkim is not installed (Debian package opendkim)")
	}
	dir, err := os.MkdirTemp("", "dkim") // t.TempDir may be too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	var keys strings.Builder
	for name, record := range records(t, testKeys()) {
		fmt.Fprintf(&keys, "%s %s\n", name, record)
	}
	socket := filepath.Join(dir, "socket")
	conf := fmt.Sprintf("Mode v\nAlwaysAddARHeader yes\nAuthservID test\nSyslog no\nBackground no\nSocket local:%s\nTestPublicKeys %s\n",
		socket, filepath.Join(dir, "keys"))
	for name, text := range map[string]string{"keys": keys.String(), "conf": conf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, "-f", "-x", filepath.Join(dir, "conf"))
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-ended })
	ticker, patience := time.NewTicker(20*time.Millisecond), time.After(30*time.Second)
	defer ticker.Stop()
	for {
		m, err := dialMilter(socket)
		if err == nil {
			t.Cleanup(func() { m.conn.Close() })
			return m
		}
		select {
		case <-ticker.C:
		case <-ended:
			t.Fatalf("opendkim ended: %s", said.Bytes())
		case <-patience:
			t.Fatalf("opendkim does not answer: %v", err)
		}
	}
}

// opendkim, which shares nothing with us, verifies both signatures of 200
// messages, and neither once the message has changed.
func TestOpenDKIM(t *testing.T) {
	m := startOpenDKIM(t)
	passes := func(message []byte) (rsa, ed25519 bool, results string) {
		results, err := m.results(message)
		if err != nil {
			t.Fatal(err)
		}
		for result := range strings.SplitSeq(results, ";") {
			if passed := strings.Contains(result, "dkim=pass"); strings.Contains(result, "header.a=rsa-sha256 header.s=rsa-2026") {
				rsa = passed
			} else if strings.Contains(result, "header.a=ed25519-sha256") {
				ed25519 = passed
			}
		}
		return rsa, ed25519, results
	}
	for i, message := range variety(200) {
		signed := signedMessage(t, testSigner(), message)
		if rsa, ed, results := passes(signed); !rsa || !ed {
			t.Errorf("message %d: %s\n%.1500q", i, results, message)
		}
		if i%20 == 0 {
			if rsa, ed, results := passes(bytes.Replace(signed, blankLine, []byte("\r\n\r\nforged "), 1)); rsa || ed {
				t.Errorf("message %d is forged: %s", i, results)
			}
			if rsa, ed, results := passes(append([]byte("Subject: another\r\n"), signed...)); rsa || ed {
				t.Errorf("message %d has a further Subject: %s", i, results)
			}
		}
	}
}
