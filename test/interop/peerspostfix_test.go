package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// domains are those that Postfix takes mail for.
const domains = "good wrong bogus absent plain enforced misnamed unlisted tested required"

// startPostfix runs a Postfix with Debian's binaries and a configuration of its
// own: everything for its domains goes into one Maildir, and what is for our domain
// to us.
func (w *peers) startPostfix() {
	var all []string
	for _, d := range strings.Fields(domains) {
		all = append(all, d+".far.example")
	}
	w.mail = filepath.Join(w.dir, "mail", "new")
	must(w.t, os.MkdirAll(filepath.Join(w.dir, "mail"), 0o755))
	must(w.t, os.Chown(filepath.Join(w.dir, "mail"), 65534, 65534))
	must(w.t, os.MkdirAll(filepath.Join(w.dir, "postfix-data"), 0o755))
	w.sh("chown", "postfix", filepath.Join(w.dir, "postfix-data"))
	must(w.t, os.MkdirAll(filepath.Join(w.dir, "postfix-queue"), 0o755))
	w.file("postfix/main.cf", fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/postfix-queue
data_directory = %[1]s/postfix-data
maillog_file = %[1]s/postfix.log
maillog_file_prefixes = %[1]s
mail_owner = postfix
setgid_group = postdrop
myhostname = mx.far.example
mydestination =
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
inet_protocols = ipv4
virtual_mailbox_domains = %[2]s
virtual_mailbox_maps = static:mail/
virtual_mailbox_base = %[1]s
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_mailbox_limit = 0
message_size_limit = 30000000
smtpd_tls_cert_file = %[3]s
smtpd_tls_key_file = %[4]s
smtpd_tls_security_level = may
smtpd_tls_received_header = yes
smtp_tls_security_level = may
smtp_tls_loglevel = 1
smtp_dns_support_level = enabled
relay_domains = %[5]s
transport_maps = inline:{ %[5]s=smtp:[127.0.0.1]:%[6]s }
smtputf8_enable = yes
alias_maps =
`, w.dir, strings.Join(all, " "), w.zone.cert, w.zone.key, ourDomain, port(w.s.node.SMTP)))
	services := []string{
		postfixAt + ":smtp inet n - n - - smtpd",
		plainAt + ":smtp inet n - n - - smtpd\n  -o smtpd_tls_security_level=none",
		"pickup unix n - n 60 1 pickup", "cleanup unix n - n - 0 cleanup", "qmgr unix n - n 5 1 qmgr", "tlsmgr unix - - n 1000? 1 tlsmgr",
		"rewrite unix - - n - - trivial-rewrite", "bounce unix - - n - 0 bounce", "defer unix - - n - 0 bounce", "trace unix - - n - 0 bounce",
		"verify unix - - n - 1 verify", "flush unix n - n 1000? 0 flush", "proxymap unix - - n - - proxymap", "smtp unix - - n - - smtp",
		"showq unix n - n - - showq", "error unix - - n - - error", "retry unix - - n - - error", "virtual unix - n n - - virtual",
		"anvil unix - - n - 1 anvil", "scache unix - - n - 1 scache", "postlog unix-dgram n - n - 1 postlogd",
	}
	w.file("postfix/master.cf", strings.Join(services, "\n")+"\n")
	conf := filepath.Join(w.dir, "postfix")
	w.sh("postfix", "-c", conf, "check")
	w.run("postfix-start.log", "postfix", "-c", conf, "start-fg")
	t := w.t
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(filepath.Join(w.dir, "postfix.log"))
			t.Logf("postfix.log:\n%s", b[max(0, len(b)-12000):])
		}
	})
	w.listens(postfixAt + ":25")
	w.listens(plainAt + ":25")
}

// delivered gives the messages in a Maildir.
func delivered(dir string) (all []string) {
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil {
			all = append(all, string(b))
		}
	}
	return all
}

// arrived waits for a message with a subject, and gives it.
func (w *peers) arrived(dir, subject string) (found string) {
	w.t.Helper()
	w.until("the message "+subject+" arrives", func() bool {
		for _, m := range delivered(dir) {
			if strings.Contains(m, "\nSubject: "+subject+"\n") {
				found = m
			}
		}
		return found != ""
	})
	return found
}
