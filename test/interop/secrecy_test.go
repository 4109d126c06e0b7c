package interop

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rookery/test/harness"
)

// TestNothingReadableOnDisk sends messages with markers in every part that
// people would not want found, and searches every file of the data directory
// for them: while the node runs, after bodies went to the object store, and
// after a kill.
func TestNothingReadableOnDisk(t *testing.T) {
	d := harness.StartDev(t, t.TempDir())
	s := server{node: d.Node(), ca: d.Facts.CA, tls: d.TLS(t), user: d.Facts.Users[0]}
	const marker = "XyzzyMarkerPlugh"
	encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(marker+" in the attachment\n", 50)))
	var messages [][]byte
	// Small, one entry; large, several entries; one with a spool on disk.
	for _, pad := range []int{0, 100 << 10, 900 << 10} {
		var lines strings.Builder
		for lines.Len() < pad {
			fmt.Fprintf(&lines, "%s padding %d\n", marker, lines.Len())
		}
		messages = append(messages, canonical(fmt.Appendf(nil, "From: %[1]s <from@example.net>\nTo: %[1]s@example.org\nSubject: about %[1]s\n"+
			"Message-ID: <%[1]s.%[4]d@example.net>\nX-Secret: %[1]s\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nthe text says "+
			"%[1]s\n%[2]s\n--b\n"+
			"Content-Type: text/plain; name=%[1]s.txt\nContent-Transfer-Encoding: base64\n\n%[3]s\n--b--\n", marker, lines.String(), encoded, pad)))
	}
	sendAll(t, s, messages)
	needles := [][]byte{[]byte(marker), []byte(strings.ToLower(marker)), []byte(encoded[:40]), utf16(marker)}
	search(t, d.Dir, needles, "while it runs")
	waitForObjects(t, d)
	search(t, d.Dir, needles, "after the bodies were packed")
	d.Kill()
	search(t, d.Dir, needles, "after a kill")
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	all := append([][]byte(nil), messages...)
	checkLast(t, s, all)
}

// checkLast reads the newest messages back: a marker that was never stored
// could not be found either.
func checkLast(t *testing.T, s server, want [][]byte) {
	t.Helper()
	c := dialIMAP(t, s)
	defer c.Close()
	sel, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if int(sel.NumMessages) < len(want) {
		t.Fatalf("INBOX has %d messages, want at least %d", sel.NumMessages, len(want))
	}
	popTail(t, s, int(sel.NumMessages), want)
}

func waitForObjects(t *testing.T, d *harness.Dev) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := harness.Poll(ctx, func() (bool, error) {
		var size int64
		err := filepath.WalkDir(filepath.Join(d.Dir, "objects"), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return nil // files come and go
			}
			if info, err := e.Info(); err == nil {
				size += info.Size()
			}
			return nil
		})
		return size > 0, err
	})
	if err != nil {
		t.Fatalf("no body reached the object store: %v", err)
	}
}

func search(t *testing.T, dir string, needles [][]byte, when string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // sockets, and files that went away meanwhile
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		files++
		for _, n := range needles {
			if i := bytes.Index(b, n); i >= 0 {
				t.Errorf("%s: %q stands in %s at byte %d", when, n, path, i)
			}
		}
		return nil
	})
	if err != nil || files < 5 {
		t.Errorf("%s: %d files searched, %v", when, files, err)
	}
}

func utf16(s string) []byte {
	var b []byte
	for _, c := range []byte(s) {
		b = append(b, c, 0)
	}
	return b
}
