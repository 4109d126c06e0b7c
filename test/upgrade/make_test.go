package upgrade

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"rookery/test/harness"
)

var makeName = flag.String("make", "", "keep a data directory of today's format as testdata/NAME.tar.zst")

// TestMake makes a data directory and keeps it, when -make asks for it: one half
// of its mail is packed in the object store, of the other half the log alone has
// the bodies, and its node was killed.
func TestMake(t *testing.T) {
	if *makeName == "" {
		t.Skip("skipped: makes a new directory only for make format NAME=...")
	}
	if !regexp.MustCompile(`^\d{4}-\d{2}[a-z]?$`).MatchString(*makeName) {
		t.Fatalf("-make %q: write year and month like 2026-11, and a letter for a second one", *makeName)
	}
	d := harness.StartDev(t, filepath.Join(t.TempDir(), dataName))
	// What a purge removes would depend on the day of the test.
	set(t, d, "limits.expunged_days", "3650")
	set(t, d, "limits.quota", "1073741824")
	fill(t, d, 1)
	await(t, "bodies stay unpacked", func() bool { return unpacked(t, d) == 0 })
	// A start writes what the state held in memory to its tables.
	if err := errors.Join(d.Stop(), d.Start()); err != nil {
		t.Fatal(err)
	}
	fill(t, d, 2)
	conf := d.TLS(t)
	var m manifest
	for try := 0; ; try++ {
		var err error
		if m, err = record(d.Node(), conf, d.Facts.Users); err != nil {
			t.Fatal(err)
		}
		if n := unpacked(t, d); n > 0 {
			t.Logf("%d bodies are in the log alone", n)
			break
		}
		if try == 10 {
			t.Fatal("everything is packed before it is recorded: the machine is too slow")
		}
		deliver(t, d.Node().SMTP, plain("late", try), d.Facts.Users[0].Login)
	}
	d.Kill()
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", *makeName+".tar.zst")
	if err := writeArchive(path, d.Dir, b); err != nil {
		t.Fatal(err)
	}
	if b, err = json.MarshalIndent(formats(t), "", " "); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("testdata", *makeName+".formats.json"), append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Size() > 600<<10 {
		t.Errorf("%s is too large to be committed: %d bytes, %v", path, st.Size(), err)
	}
}

func set(t *testing.T, d *harness.Dev, key, value string) {
	t.Helper()
	if out, err := exec.Command(harness.Binary(t), "config", "set", "-data", d.Dir, key, value).CombinedOutput(); err != nil {
		t.Fatalf("config set %s: %v\n%s", key, err, out)
	}
}

// unpacked counts the bodies that are not in the object store yet.
func unpacked(t *testing.T, d *harness.Dev) (n int) {
	t.Helper()
	out, err := exec.Command(harness.Binary(t), "status", "-data", d.Dir, "--json").Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) { // problems have exit codes
		t.Fatal(err)
	}
	var s struct {
		Groups []struct {
			Unpacked int `json:"unpacked_bodies"`
		} `json:"groups"`
	}
	if err := json.Unmarshal(out, &s); err != nil || len(s.Groups) == 0 {
		t.Fatalf("status: %v\n%s", err, out)
	}
	for _, g := range s.Groups {
		n += g.Unpacked
	}
	return n
}

func await(t *testing.T, what string, fn func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := harness.Poll(ctx, func() (bool, error) { return fn(), nil }); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// fill files messages of all kinds for everybody: round 1 makes the mailboxes,
// round 2 also changes what round 1 left.
func fill(t *testing.T, d *harness.Dev, round int) {
	t.Helper()
	var all []string
	for _, u := range d.Facts.Users {
		all = append(all, u.Login)
	}
	for _, u := range d.Facts.Users {
		for i := range 6 {
			deliver(t, d.Node().SMTP, plain("to one", 10*round+i), u.Login)
		}
		deliver(t, d.Node().SMTP, attached(round), u.Login)
	}
	deliver(t, d.Node().SMTP, plain("to all", round), all...)
	deliver(t, d.Node().SMTP, "Subject: Grüße aus Zürich 日本\r\nFrom: jürgen@example.net\r\n\r\nÄÖÜ\r\n", all...)
	deliver(t, d.Node().SMTP, large(round), all[0])
	for _, u := range d.Facts.Users {
		if err := file(t, d, u, round); err != nil {
			t.Fatalf("%s: %v", u.Login, err)
		}
	}
}

func file(t *testing.T, d *harness.Dev, u harness.User, round int) error {
	c, err := signIn(d.Node().IMAPS, d.TLS(t), u)
	if err != nil {
		return err
	}
	defer c.close()
	script := []string{
		`CREATE "Projects/Zürich/日本語"`, `CREATE "Архив"`, `CREATE "Renamed once"`, `CREATE "Deleted"`, `CREATE "Empty"`,
		`RENAME "Renamed once" "Renamed/twice"`, `SUBSCRIBE "Projects/Zürich"`, `SUBSCRIBE "Архив"`,
	}
	if round == 2 {
		script = []string{`DELETE "Deleted"`, `RENAME "Renamed/twice" "Renamed/Täglich"`, `UNSUBSCRIBE "Архив"`}
	}
	if err := c.all(script...); err != nil {
		return err
	}
	for i, how := range []string{`() " 1-Jan-2001 02:03:04 +0500"`, `(\Seen \Draft) "31-Dec-2025 23:59:59 -0800"`,
		`(\Flagged $Forwarded Wichtig)`} {
		if err := c.append_("Архив", how, []byte(plain("appended", 10*round+i))); err != nil {
			return err
		}
	}
	if round == 1 {
		if err := c.append_("Deleted", "()", []byte(plain("in a deleted mailbox", 1))); err != nil {
			return err
		}
	}
	// Sequence numbers count from 1 in both rounds, so round 2 meets packed
	// messages of round 1 at the front and its own at the end.
	return c.all(`SELECT INBOX`,
		`STORE 1 +FLAGS.SILENT (\Seen \Answered $MDNSent)`, `STORE 2:3 FLAGS (\Flagged Projekt-7)`, `STORE * +FLAGS (\Seen)`,
		`COPY 1:3 "Projects/Zürich"`, `COPY * "Projects/Zürich/日本語"`, `MOVE 4 "Архив"`, `COPY 2 INBOX`,
		`STORE 5 +FLAGS (\Deleted)`, `EXPUNGE`, `STORE 3 -FLAGS (\Flagged)`, `STORE 6 +FLAGS (\Deleted)`,
		`SELECT "Projects/Zürich"`, `STORE 1 +FLAGS (\Deleted)`, `UID EXPUNGE 1:*`, `UNSELECT`)
}

func (c *client) all(commands ...string) error {
	for _, cmd := range commands {
		if _, err := c.do("%s", cmd); err != nil {
			return err
		}
	}
	return nil
}

func deliver(t *testing.T, addr, text string, to ...string) {
	t.Helper()
	// Mail asks for BODY=8BITMIME and SMTPUTF8 where they are offered.
	from := "someone@example.net"
	if strings.Contains(text, "jürgen") {
		from = "jürgen@example.net"
	}
	c, err := smtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err = c.Mail(from); err != nil {
		t.Fatal(err)
	}
	for _, rcpt := range to {
		if err := c.Rcpt(rcpt); err != nil {
			t.Fatal(err)
		}
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err = w.Write([]byte(text)); err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func plain(subject string, n int) string {
	return fmt.Sprintf("From: Someone <someone@example.net>\r\nTo: you@example.test\r\nSubject: %s %d\r\nDate: Mon, 2 Nov 2026 "+
		"10:00:00 +0100\r\n"+
		"Message-ID: <%s.%d@example.net>\r\n\r\nText of %[1]s %[2]d.\r\n", subject, n, strings.ReplaceAll(subject, " ", "-"), n)
}

// attached answers a plain message, in parts.
func attached(n int) string {
	return fmt.Sprintf("From: =?utf-8?Q?J=C3=BCrgen?= <juergen@example.net>\r\nSubject: Re: to one %d\r\nIn-Reply-To: "+
		"<to-one.%[1]d@example.net>\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: multipart/mixed; boundary=\"=_outer\"\r\n\r\n--=_outer\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n"+
		"--inner\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n"+
		"--inner\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Gr&uuml;&szlig;e</p>\r\n--inner--\r\n"+
		"--=_outer\r\nContent-Type: application/pdf; name*=utf-8''Pr%%C3%%BCfung.pdf\r\nContent-Disposition: "+
		"attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n"+
		"--=_outer\r\nContent-Type: message/rfc822\r\n\r\n%s\r\n--=_outer--\r\n", 10*n, noise(3000, uint64(n)), plain("forwarded", n))
}

// large has 300 KiB; those of round 2 do not compress much.
func large(round int) string {
	const size = 300 << 10
	text := strings.Repeat("The same line stands here very often, so that it takes little room.\r\n", size/69+1)
	if round == 2 {
		text = text[:size/2] + "\r\n" + noise(size*3/8, 7)
	}
	return plain("large", round) + text
}

func noise(n int, seed uint64) string {
	raw := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, seed))
	for i := range raw {
		raw[i] = byte(r.Uint32())
	}
	s := []byte(base64.StdEncoding.EncodeToString(raw))
	var out bytes.Buffer
	for len(s) > 76 {
		out.Write(s[:76])
		out.WriteString("\r\n")
		s = s[76:]
	}
	out.Write(s)
	out.WriteString("\r\n")
	return out.String()
}
