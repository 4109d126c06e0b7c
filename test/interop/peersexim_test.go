package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// findExim is Debian's Exim, which test/install unpacks beside the installed
// Postfix: their packages exclude each other.
func findExim(t *testing.T) string {
	if path, err := filepath.Abs("../../bin/exim4/usr/sbin/exim4"); err == nil && exec.Command(path, "-C", "/dev/null", "-bV").Run() == nil {
		return path
	}
	if path, err := exec.LookPath("exim4"); err == nil {
		return path
	}
	t.Log("no Exim, its tests are skipped: make deps unpacks it")
	return ""
}

// startExim runs an Exim that files everything for its domain, and brings to us
// what is ours. It knows no DSN, as by default.
func (w *peers) startExim() {
	exim := findExim(w.t)
	if exim == "" {
		return
	}
	w.exim = filepath.Join(w.dir, "exim", "mail", "new")
	for _, dir := range []string{"mail", "spool", "log"} {
		path := filepath.Join(w.dir, "exim", dir)
		must(w.t, os.MkdirAll(path, 0o755))
		must(w.t, os.Chown(path, 65533, 65533))
	}
	must(w.t, os.Chown(w.zone.eximKey, 65533, 65533))
	conf := w.file("exim/exim.conf", fmt.Sprintf(`spool_directory = %[1]s/spool
log_file_path = %[1]s/log/%%slog
pid_file_path = %[1]s/spool/exim.pid
primary_hostname = mxexim.far.example
local_interfaces = %[2]s
daemon_smtp_ports = 25
tls_certificate = %[3]s
tls_privatekey = %[4]s
tls_advertise_hosts = *
smtputf8_advertise_hosts = *
host_lookup =
rfc1413_query_timeout = 0s
message_size_limit = 30M
deliver_drop_privilege = true
keep_environment =
acl_smtp_rcpt = taken
begin acl
taken:
  accept
begin routers
ours:
  driver = manualroute
  domains = %[5]s
  transport = remote
  route_data = 127.0.0.1
  self = send
theirs:
  driver = accept
  domains = exim.far.example
  transport = maildir
begin transports
remote:
  driver = smtp
  port = %[6]s
maildir:
  driver = appendfile
  maildir_format
  directory = %[1]s/mail
begin retry
* * F,1h,1s
`, filepath.Join(w.dir, "exim"), eximAt, w.zone.eximCert, w.zone.eximKey, ourDomain, port(w.s.node.SMTP)))
	w.run("exim.log", exim, "-C", conf, "-bdf", "-q1m")
	t := w.t
	t.Cleanup(func() {
		if t.Failed() {
			for _, name := range []string{"mainlog", "paniclog"} {
				b, _ := os.ReadFile(filepath.Join(w.dir, "exim", "log", name))
				t.Logf("%s of Exim:\n%s", name, b)
			}
		}
	})
	w.listens(eximAt + ":25")
}

// eximBothWays is mail to Exim by DANE, which confirms nothing itself, and from it.
func eximBothWays(w *peers) {
	if w.exim == "" {
		w.t.Skip("skipped: Exim is not there (make deps unpacks it)")
	}
	w.submit(letter{to: "bob@exim.far.example", subject: "to exim", rcpt: "NOTIFY=SUCCESS", mail: "ENVID=e2"})
	w.has(w.arrived(w.exim, "to exim"), "with esmtps", "tls TLS_")
	w.has(w.inbox("RELAYED. You may hear no more of it"),
		"Action: relayed", "Original-Envelope-Id: e2", "dane: TLS 1.3", "verified by DANE-EE")
	w.submit(letter{to: "bjørn@exim.far.example", subject: "blåbær", mail: "SMTPUTF8 BODY=8BITMIME"})
	w.has(w.arrived(w.exim, "blåbær"), "with utf8esmtps")
	w.submit(letter{to: "bob@exim.far.example", subject: "large", extra: large()})
	if m := w.arrived(w.exim, "large"); strings.Count(m, strings.Repeat("x", 98)+"\n") != 100_000 {
		w.t.Errorf("a message of %d octets arrived", len(m))
	}
	fromPeer(w, eximAt+":25", "exim", "bob@exim.far.example")
}
