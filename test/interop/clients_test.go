package interop

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"rookery/test/harness"
)

// server is where the clients go.
type server struct {
	node   harness.Node
	ca     string
	tls    *tls.Config
	user   harness.User
	reopen func() error // restarts it
}

// sendAll sends the messages in one pipelined connection (RFC 2920): the end
// of one message and the envelope of the next travel together.
func sendAll(t *testing.T, s server, messages [][]byte) {
	t.Helper()
	conn, err := net.Dial("tcp", s.node.SMTP)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := textproto.NewConn(conn)
	w := bufio.NewWriterSize(conn, 64<<10)
	expect := func(code int, what string, args ...any) {
		t.Helper()
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		if _, msg, err := c.ReadResponse(code); err != nil {
			t.Fatalf("%s: %v %s", fmt.Sprintf(what, args...), err, msg)
		}
	}
	expect(220, "greeting")
	fmt.Fprintf(w, "EHLO client.example.net\r\n")
	expect(250, "EHLO")
	envelope := func() {
		fmt.Fprintf(w, "MAIL FROM:<sender@example.net>\r\nRCPT TO:<%s>\r\nDATA\r\n", s.user.Login)
	}
	envelope()
	for i, m := range messages {
		expect(250, "MAIL of message %d", i)
		expect(250, "RCPT of message %d", i)
		expect(354, "DATA of message %d", i)
		for line := range bytes.Lines(m) {
			if line[0] == '.' {
				w.WriteByte('.')
			}
			w.Write(line)
		}
		w.WriteString(".\r\n")
		if i+1 < len(messages) {
			envelope()
		} else {
			w.WriteString("QUIT\r\n")
		}
		expect(250, "message %d (%.60q)", i, m)
	}
	expect(221, "QUIT")
}

// trace is what delivery puts before a message: one Return-Path and one
// Received with its folded lines.
var trace = regexp.MustCompile(`^Return-Path: <[^\r\n]*>\r\nReceived: [^\r\n]*\r\n([ \t][^\r\n]*\r\n)*$`)

func compare(t *testing.T, how string, i int, got, want []byte) {
	t.Helper()
	if !bytes.HasSuffix(got, want) {
		t.Errorf("%s: message %d is not what was sent: got %d bytes ending %.80q, want %d ending %.80q", how, i,
			len(got), got[max(0, len(got)-80):], len(want), want[max(0, len(want)-80):])
		return
	}
	if before := got[:len(got)-len(want)]; !trace.Match(before) {
		t.Errorf("%s: message %d has more than the trace before it: %.400q", how, i, before)
	}
}

func dialIMAP(t *testing.T, s server) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialTLS(s.node.IMAPS, &imapclient.Options{TLSConfig: s.tls})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Login(s.user.Login, s.user.Password).Wait(); err != nil {
		t.Fatal(err)
	}
	return c
}

// emptyInbox removes everything, so that message i is sequence number i+1.
func emptyInbox(t *testing.T, s server) {
	t.Helper()
	c := dialIMAP(t, s)
	defer c.Close()
	sel, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if sel.NumMessages > 0 {
		all := imap.SeqSet{}
		all.AddRange(1, 0)
		if err := c.Store(all, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}},
			nil).Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.Expunge().Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// fetchAll reads everything that go-imap's client can parse of each message.
func fetchAll(t *testing.T, s server, want [][]byte) {
	t.Helper()
	c := dialIMAP(t, s)
	defer c.Close()
	sel, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if int(sel.NumMessages) != len(want) {
		t.Fatalf("INBOX has %d messages, want %d", sel.NumMessages, len(want))
	}
	whole := &imap.FetchItemBodySection{Peek: true}
	header := &imap.FetchItemBodySection{Peek: true, Specifier: imap.PartSpecifierHeader}
	text := &imap.FetchItemBodySection{Peek: true, Specifier: imap.PartSpecifierText}
	var last imap.UID
	const batch = 50
	for from := 1; from <= len(want); from += batch {
		set := imap.SeqSet{}
		set.AddRange(uint32(from), uint32(min(from+batch-1, len(want))))
		msgs, err := c.Fetch(set, &imap.FetchOptions{
			UID: true, Flags: true, RFC822Size: true, InternalDate: true, Envelope: true,
			BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
			BodySection:   []*imap.FetchItemBodySection{whole, header, text},
		}).Collect()
		if err != nil {
			t.Fatalf("FETCH from %d: %v", from, err)
		}
		if len(msgs) != int(min(batch, len(want)-from+1)) {
			t.Fatalf("FETCH from %d gave %d messages", from, len(msgs))
		}
		for k, m := range msgs {
			i := from + k - 1
			body := m.FindBodySection(whole)
			compare(t, "IMAP", i, body, want[i])
			if int64(len(body)) != m.RFC822Size {
				t.Errorf("message %d: RFC822.SIZE %d, BODY[] has %d bytes", i, m.RFC822Size, len(body))
			}
			if joined := append(append([]byte(nil), m.FindBodySection(header)...), m.FindBodySection(text)...); !bytes.Equal(joined, body) {
				t.Errorf("message %d: HEADER and TEXT do not make up BODY[]", i)
			}
			if m.Envelope == nil || m.BodyStructure == nil {
				t.Errorf("message %d: no envelope or no structure", i)
			}
			if m.UID <= last {
				t.Errorf("message %d: UID %d after %d", i, m.UID, last)
			}
			last = m.UID
		}
	}
}

// pop is a POP3 session.
type pop struct {
	t *testing.T
	c *textproto.Conn
}

func dialPOP(t *testing.T, s server) pop {
	t.Helper()
	conn, err := tls.Dial("tcp", s.node.POP3S, s.tls)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(5 * time.Minute))
	p := pop{t, textproto.NewConn(conn)}
	p.ok("")
	p.ok("USER " + s.user.Login)
	p.ok("PASS " + s.user.Password)
	return p
}

// ok sends a command, where there is one, and wants +OK.
func (p pop) ok(cmd string) string {
	p.t.Helper()
	if cmd != "" {
		if err := p.c.PrintfLine("%s", cmd); err != nil {
			p.t.Fatal(err)
		}
	}
	line, err := p.c.ReadLine()
	if err != nil || !strings.HasPrefix(line, "+OK") {
		p.t.Fatalf("%s: %s %v", cmd, line, err)
	}
	return line
}

// retrieve downloads messages from number first on and compares them.
func (p pop) retrieve(first int, want [][]byte) {
	p.t.Helper()
	for i, w := range want {
		p.ok(fmt.Sprintf("RETR %d", first+i))
		b, err := readDot(p.c.R)
		if err != nil {
			p.t.Fatal(err)
		}
		compare(p.t, "POP3", i, b, w)
	}
}

// popAll downloads everything over POP3.
func popAll(t *testing.T, s server, want [][]byte) {
	t.Helper()
	p := dialPOP(t, s)
	f := strings.Fields(p.ok("STAT"))
	if n, _ := strconv.Atoi(f[1]); n != len(want) {
		t.Fatalf("STAT says %s messages, want %d", f[1], len(want))
	}
	p.ok("UIDL")
	if ids, err := p.c.ReadDotLines(); err != nil || len(ids) != len(want) {
		t.Fatalf("UIDL gave %d lines: %v", len(ids), err)
	}
	p.retrieve(1, want)
	p.ok("QUIT")
}

// popTail compares the newest of n messages.
func popTail(t *testing.T, s server, n int, want [][]byte) {
	t.Helper()
	p := dialPOP(t, s)
	p.retrieve(n-len(want)+1, want)
	p.ok("QUIT")
}

// readDot reads a multi-line reply and keeps its bytes as they are (net/textproto
// would turn CRLF into LF).
func readDot(r *bufio.Reader) ([]byte, error) {
	var b []byte
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		if string(line) == ".\r\n" {
			return b, nil
		}
		b = append(b, bytes.TrimPrefix(line, []byte("."))...)
	}
}

// mbsyncAll mirrors INBOX with mbsync and compares what it wrote.
func mbsyncAll(t *testing.T, s server, want [][]byte) {
	t.Helper()
	mbsync := harness.Tool(t, "mbsync")
	dir := t.TempDir()
	_, port, err := net.SplitHostPort(s.node.IMAPS)
	if err != nil {
		t.Fatal(err)
	}
	rc := fmt.Sprintf(`IMAPAccount rookery
Host localhost
Port %s
User %s
Pass "%s"
SSLType IMAPS
CertificateFile %s

IMAPStore far
Account rookery

MaildirStore near
Path %[5]s/mail/
Inbox %[5]s/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns INBOX
Create Near
Sync Pull
SyncState *
`, port, s.user.Login, s.user.Password, s.ca, dir)
	if err := os.Mkdir(filepath.Join(dir, "mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "mbsyncrc")
	if err := os.WriteFile(conf, []byte(rc), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(mbsync, "-c", conf, "all").CombinedOutput(); err != nil {
		t.Fatalf("mbsync: %v\n%s", err, out)
	}
	have := map[[32]byte]int{}
	err = filepath.WalkDir(filepath.Join(dir, "mail", "INBOX"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b = bytes.ReplaceAll(withoutTUID(b), []byte("\n"), []byte("\r\n"))
		if loc := traceEnd.FindIndex(b); loc != nil {
			b = b[loc[1]:]
		}
		have[sha256.Sum256(b)]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range want {
		sum := sha256.Sum256(m)
		if have[sum]--; have[sum] < 0 && wholeHeader(m) {
			t.Errorf("mbsync: message %d is not among what it fetched (%.80q)", i, m)
		}
	}
}

// traceEnd is the trace up to the date that ends it, so that a message that
// begins with white space is not taken for a folded line of it.
var traceEnd = regexp.MustCompile(`^Return-Path: <[^\r\n]*>\r\nReceived: [^\r\n]*\r\n([ \t][^\r\n]*\r\n)*?\t\w{3}, \d{1,2} \w{3} \d{4} [0-9:]{8} [+-]\d{4}\r\n`)

// wholeHeader says that an empty line ends the header. mbsync skips messages
// without one.
func wholeHeader(b []byte) bool {
	return bytes.HasPrefix(b, []byte("\r\n")) || bytes.Contains(b, []byte("\r\n\r\n"))
}

// withoutTUID takes the field off that mbsync adds to its copies.
func withoutTUID(b []byte) []byte {
	i := bytes.Index(b, []byte("X-TUID: "))
	if i < 0 || i > 0 && b[i-1] != '\n' {
		return b
	}
	end := bytes.IndexByte(b[i:], '\n')
	return append(append([]byte(nil), b[:i]...), b[i+end+1:]...)
}
