package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rookery/test/harness"
)

// TestTools drives the server with programs that people and scripts use.
func TestTools(t *testing.T) {
	d := harness.StartDev(t, t.TempDir())
	s := server{node: d.Node(), ca: d.Facts.CA, tls: d.TLS(t), user: d.Facts.Users[0]}
	other := d.Facts.Users[1]
	t.Run("curl", func(t *testing.T) { curl(t, s, other) })
	t.Run("swaks", func(t *testing.T) { swaks(t, s, other) })
	t.Run("python", func(t *testing.T) { python(t, s, other) })
}

func port(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(harness.Tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func curl(t *testing.T, s server, other harness.User) {
	user := s.user.Login + ":" + s.user.Password
	mail := filepath.Join(t.TempDir(), "mail")
	if err := os.WriteFile(mail, []byte("Subject: from curl\r\n\r\ncurl was here\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// In over all three ways of SMTP.
	output(t, "curl", "-sS", "--mail-from", other.Login, "--mail-rcpt", s.user.Login, "--upload-file", mail, "smtp://"+s.node.SMTP)
	for _, mech := range []string{"PLAIN", "LOGIN"} {
		output(t, "curl", "-sS", "--cacert", s.ca, "--ssl-reqd", "--user", user, "--login-options", "AUTH="+mech, "--mail-from", s.user.Login,
			"--mail-rcpt", s.user.Login, "--upload-file", mail, "smtp://localhost:"+port(s.node.Submission))
		output(t, "curl", "-sS", "--cacert", s.ca, "--user", user, "--login-options", "AUTH="+mech, "--sasl-ir", "--mail-from", s.user.Login,
			"--mail-rcpt", s.user.Login, "--upload-file", mail, "smtps://localhost:"+port(s.node.Submissions))
	}
	// Out over IMAP and POP3, each with TLS from the start and upgraded.
	for _, url := range []string{
		"imaps://localhost:" + port(s.node.IMAPS) + "/INBOX;MAILINDEX=2",
		"imap://localhost:" + port(s.node.IMAP) + "/INBOX;MAILINDEX=2",
		"pop3s://localhost:" + port(s.node.POP3S) + "/2",
		"pop3://localhost:" + port(s.node.POP3) + "/2",
	} {
		if out := output(t, "curl", "-sS", "--ssl-reqd", "--cacert", s.ca, "--user", user, url); !strings.Contains(out, "curl was here\r\n") {
			t.Errorf("%s gave %q", url, out)
		}
	}
	list := output(t, "curl", "-sS", "--cacert", s.ca, "--user", user, "imaps://localhost:"+port(s.node.IMAPS)+"/")
	for _, folder := range []string{"INBOX", "Sent Items", "Deleted Items", "Drafts", "Junk Email", "Archive"} {
		if !strings.Contains(list, folder) {
			t.Errorf("LIST lacks %s: %s", folder, list)
		}
	}
	// A wrong password must say so, and sign-in in clear must not happen.
	if out, err := exec.Command("curl", "-sS", "--cacert", s.ca, "--user", s.user.Login+":wrong",
		"imaps://localhost:"+port(s.node.IMAPS)+"/").CombinedOutput(); err == nil {
		t.Errorf("a wrong password signed in: %s", out)
	}
	if out, err := exec.Command("curl", "-sS", "--user", user, "imap://localhost:"+port(s.node.IMAP)+"/").CombinedOutput(); err == nil {
		t.Errorf("signed in on a clear connection: %s", out)
	}
}

func swaks(t *testing.T, s server, other harness.User) {
	out := output(t, "swaks", "--server", s.node.SMTP, "--from", "someone@example.net", "--to", s.user.Login, "--header",
		"Subject: from swaks")
	if !strings.Contains(out, "250 2.") {
		t.Errorf("no 250: %s", out)
	}
	out = output(t, "swaks", "--server", "localhost", "--port", port(s.node.Submission), "--tls", "--auth", "LOGIN", "--auth-user",
		other.Login,
		"--auth-password", other.Password, "--from", other.Login, "--to", s.user.Login+","+other.Login)
	if !strings.Contains(out, "235 ") {
		t.Errorf("no sign-in: %s", out)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown recipient": {[]string{"--server", s.node.SMTP, "--to", "nobody@example.test"}, "550 5.1.1"},
		"relay":             {[]string{"--server", s.node.SMTP, "--to", "x@elsewhere.example"}, "550 5.7.1"},
		"no sign-in in clear": {[]string{"--server", "localhost", "--port", port(s.node.Submission), "--to", s.user.Login, "--from",
			s.user.Login}, "530 5.7"},
	} {
		b, err := exec.Command("swaks", append(c.args, "--from", "a@example.net")...).CombinedOutput()
		if err == nil || !strings.Contains(string(b), c.want) {
			t.Errorf("%s: want %s, got %v\n%s", name, c.want, err, b)
		}
	}
}

// script is what Python's own clients must be able to do.
const script = `
import imaplib, poplib, smtplib, ssl, sys
smtp, sub, imaps, imap, pop3s, pop3, ca, login, password, to = sys.argv[1:]
ctx = ssl.create_default_context(cafile=ca)
host = lambda a: ("localhost", int(a.rsplit(":", 1)[1]))

s = smtplib.SMTP(*host(sub)); s.starttls(context=ctx); s.login(login, password)
s.sendmail(login, [to], "Subject: python\r\n\r\nfrom smtplib \u00e4\r\n".encode()); s.quit()
s = smtplib.SMTP(*host(smtp)); s.sendmail("x@example.net", [to], b"Subject: python 25\r\n\r\nport 25\r\n"); s.quit()

m = imaplib.IMAP4(*host(imap)); m.starttls(ctx); m.login(to, password if to == login else sys.argv[9]); m.logout()
m = imaplib.IMAP4_SSL(*host(imaps), ssl_context=ctx); m.login(login, password)
assert m.select("INBOX")[0] == "OK"
typ, data = m.search(None, 'SUBJECT', '"python"'); ids = data[0].split(); assert len(ids) >= 2, data
typ, data = m.fetch(ids[0], "(RFC822 FLAGS UID BODYSTRUCTURE)"); assert b"from smtplib \xc3\xa4\r\n" in data[0][1], data
assert m.create('"Python/Sub folder"')[0] == "OK"
assert m.copy(ids[0], '"Python/Sub folder"')[0] == "OK"
assert m.store(ids[0], "+FLAGS", "(\\Flagged $Forwarded)")[0] == "OK"
typ, data = m.append("Drafts", "(\\Draft)", imaplib.Time2Internaldate(1700000000), b"Subject: draft\r\n\r\nd\r\n"); assert typ == "OK" and b"APPENDUID" in data[0], data
assert m.select('"Python/Sub folder"')[1] == [b"1"]
assert m.store("1", "+FLAGS", "\\Deleted")[0] == "OK"
assert m.expunge()[0] == "OK"
assert m.close()[0] == "OK"
assert m.delete('"Python/Sub folder"')[0] == "OK"
m.logout()

p = poplib.POP3_SSL(*host(pop3s), context=ctx); p.user(login); p.pass_(password)
n, size = p.stat(); assert n >= 2
ids = [l.split()[1] for l in p.uidl()[1]]; assert len(set(ids)) == n
assert any(b"from smtplib" in l for i in range(1, n + 1) for l in p.retr(i)[1])
assert p.top(n, 0)[1][-1] == b""
p.dele(n); p.quit()
p = poplib.POP3(*host(pop3)); p.stls(ctx); p.user(login); p.pass_(password)
assert p.stat()[0] == n - 1
left = [l.split()[1] for l in p.uidl()[1]]; assert left == ids[:-1], (left, ids)
p.quit()
print("python is happy")
`

func python(t *testing.T, s server, _ harness.User) {
	out := output(t, "python3", "-c", script, s.node.SMTP, s.node.Submission, s.node.IMAPS, s.node.IMAP, s.node.POP3S, s.node.POP3,
		s.ca, s.user.Login, s.user.Password, s.user.Login)
	if !strings.Contains(out, "python is happy") {
		t.Error(out)
	}
}
