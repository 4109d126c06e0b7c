package smtp

import (
	"crypto/sha256"
	"crypto/tls"
	"net/netip"
	"strings"
	"testing"

	"rookery/protocols/relay"
	"rookery/protocols/signin"
)

// relaying is a rig whose networks may relay.
func relaying(t *testing.T, mode Mode, networks ...string) *rig {
	return newRig(t, mode, func(o *Options) {
		var rules relay.Rules
		for _, n := range networks {
			rules.Networks = append(rules.Networks, netip.MustParsePrefix(n))
		}
		rules.Certificates = []relay.Fingerprint{sha256.Sum256(testTLS().Certificates[0].Certificate[0])}
		sender, _ := relay.ParseSender("scan@example.com")
		o.Relays = relay.New(relay.Options{Rules: func() relay.Rules { return rules }, Local: (&people{}).Local,
			Limits: signin.Limits{Delay: -1}, Credential: func(name string) (relay.Credential, bool, error) {
				return relay.Credential{Name: name, Hash: relay.HashSecret("hush"), Senders: []relay.Sender{sender}, Rate: 2}, name == "scanner", nil
			}})
		o.RelayTLS = testTLS().Clone()
		o.RelayTLS.ClientAuth = tls.RequestClientCert
	})
}

// elsewhere are recipients that reach another system where a server relays, in
// every notation that has ever fooled one.
var elsewhere = []string{"victim@elsewhere.example", "@example.com:victim@elsewhere.example",
	"@example.com,@mail.example.com:victim@elsewhere.example", "victim%elsewhere.example@example.com", `"victim@elsewhere.example"@example.com`,
	`"victim%elsewhere.example"@example.com`, "elsewhere.example!victim@example.com", "victim@[203.0.113.5]", "victim@[IPv6:2001:db8::5]",
	"victim%elsewhere.example@[127.0.0.1]", `"victim@elsewhere.example"@[127.0.0.1]`, "victim@elsewhere.example.", "victim@EXAMPLE.com.elsewhere.example",
	"anna@example.com@elsewhere.example", `"victim@elsewhere.example"`, "victim@elsewhere.example@example.com"}

// TestNobodyRelaysWithoutAGrant tries every road to another system.
func TestNobodyRelaysWithoutAGrant(t *testing.T) {
	for name, c := range map[string]struct {
		mode     Mode
		networks []string
	}{
		"the port of other servers":     {MX, []string{"127.0.0.0/8"}},
		"submission without a sign-in":  {Submission, []string{"127.0.0.0/8"}},
		"relay from a foreign network":  {Relay, []string{"10.0.0.0/8", "fd00::/64"}},
		"relay where nobody may":        {Relay, nil},
		"relay by a network in mapping": {Relay, []string{"::ffff:127.0.0.0/104"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := relaying(t, c.mode, c.networks...)
			for _, from := range []string{"", "anna@example.com", "x@example.org"} {
				for _, to := range elsewhere {
					cl := r.dialFor(t)
					cl.hello()
					cl.send("MAIL FROM:<" + from + ">\r\nRCPT TO:<" + to + ">\r\nDATA\r\n")
					cl.reply()
					if got := cl.reply(); got[0] != '5' {
						t.Errorf("from <%s> to <%s>: %q", from, to, got)
					}
					cl.want("503 ")
					cl.Close()
				}
			}
			if got := r.store.taken(); len(got) > 0 {
				t.Errorf("%d messages were taken", len(got))
			}
		})
	}
}

// TestLocalNotationsReachNobodyElsewhere: with a grant too, an address of a domain
// of ours stays here whatever its local part says.
func TestLocalNotationsReachNobodyElsewhere(t *testing.T) {
	r := relaying(t, Relay, "127.0.0.0/8")
	c := r.dial()
	c.hello()
	c.do("MAIL FROM:<anna@example.com>", "250 ")
	for _, to := range elsewhere {
		if strings.HasSuffix(to, "@example.com") {
			c.send("RCPT TO:<" + to + ">\r\n")
			if got := c.reply(); got[0] != '5' {
				t.Errorf("%s: %q", to, got)
			}
		}
	}
}

func TestWhoMayRelayIsServed(t *testing.T) {
	r := relaying(t, Relay, "127.0.0.0/8")
	c := r.dial()
	if ehlo := c.hello(); strings.Contains(ehlo, "250-AUTH") || !strings.Contains(ehlo, "STARTTLS") {
		t.Errorf("%q", ehlo)
	}
	c.do("RCPT TO:<x@elsewhere.example>", "503 ")
	c.do("MAIL FROM:<x@example.org>", "550 5.7.1 This client may not send as")
	c.do("MAIL FROM:<>", "550 5.7.1 ")
	c.do("MAIL FROM:<printer@example.com>", "250 ")
	c.do("RCPT TO:<x@elsewhere.example>", "250 ")
	c.do("RCPT TO:<anna@example.com>", "250 ")
	c.do("RCPT TO:<nobody@example.com>", "550 5.1.1 ")
	c.do("DATA", "354 ")
	c.do("From: boss@example.org\r\n\r\nx\r\n.", "550 5.7.1 The From field")
	c.do("MAIL FROM:<printer@example.com>", "250 ")
	c.do("RCPT TO:<x@elsewhere.example>", "250 ")
	c.do("DATA", "354 ")
	c.do("From: printer@example.com\r\n\r\nscan\r\n.", "250 ")
	got := r.store.taken()
	if len(got) != 1 || !strings.Contains(got[0], "\r\nDate: ") || !strings.Contains(got[0], "\r\nMessage-ID: <") {
		t.Fatalf("%q", got)
	}
	if q := r.store.requests[0]; !q.Submitted || len(q.Remote) != 1 || q.From != "printer@example.com" {
		t.Errorf("%+v", q)
	}
}

func TestCertificateRelays(t *testing.T) {
	r := relaying(t, Relay)
	for _, with := range []*tls.Config{{InsecureSkipVerify: true}, {InsecureSkipVerify: true, Certificates: testTLS().Certificates}} {
		c := r.dial()
		c.hello()
		c.do("STARTTLS", "220 ")
		tc := tls.Client(c.Conn, with)
		c.Conn = tc
		c.r.Reset(tc)
		c.do("EHLO client.example.org", "250-")
		if len(with.Certificates) == 0 {
			c.do("MAIL FROM:<anna@example.com>", "550 5.7.1 This host may not relay")
			continue
		}
		c.do("MAIL FROM:<anna@example.com>", "250 ")
		c.do("RCPT TO:<x@elsewhere.example>", "250 ")
	}
}

func TestCredentialRelays(t *testing.T) {
	r := relaying(t, Relay)
	c := r.dial()
	c.hello()
	c.do("AUTH PLAIN "+b64("\x00scanner\x00hush"), "538 5.7.11 ") // not in clear
	c.do("STARTTLS", "220 ")
	c.secure()
	if ehlo := c.do("EHLO me", "250-"); !strings.Contains(ehlo, "AUTH PLAIN LOGIN") {
		t.Errorf("%q", ehlo)
	}
	c.do("MAIL FROM:<scan@example.com>", "550 5.7.1 This host may not relay")
	c.do("AUTH PLAIN "+b64("\x00scanner\x00guess"), "535 ")
	c.do("AUTH PLAIN "+b64("\x00anna\x00secret"), "535 ") // a user is no application
	c.do("AUTH PLAIN "+b64("\x00scanner\x00hush"), "235 ")
	c.do("AUTH PLAIN "+b64("\x00scanner\x00hush"), "503 ")
	c.do("MAIL FROM:<anna@example.com>", "550 5.7.1 This client may not send as")
	c.do("MAIL FROM:<scan@example.com>", "250 ")
	c.do("RCPT TO:<nobody@example.com>", "550 5.1.1 ")
	c.do("RCPT TO:<anna@example.com>", "250 ")
	c.do("RCPT TO:<x@elsewhere.example>", "250 ")
	c.do("RCPT TO:<y@elsewhere.example>", "450 4.7.1 More than 2 recipients in an hour")
	c.do("DATA", "354 ")
	c.do("From: scan@example.com\r\n\r\nscan\r\n.", "250 ")
	if got := r.store.taken(); len(got) != 1 || !strings.Contains(got[0], " with ESMTPSA ") {
		t.Errorf("%q", got)
	}
}

// TestGuessingEndsTheConnection: failed sign-ins are those of any listener.
func TestGuessingEndsTheConnection(t *testing.T) {
	r := relaying(t, Relay)
	c := r.dial()
	c.hello()
	c.do("STARTTLS", "220 ")
	c.secure()
	c.do("EHLO me", "250-")
	for range 100 {
		c.send("AUTH PLAIN " + b64("\x00scanner\x00guess") + "\r\n")
		if got := c.reply(); strings.HasPrefix(got, "421 ") {
			return
		} else if got[0] != '5' && got[0] != '4' {
			t.Fatalf("%q", got)
		}
	}
	t.Error("guessing goes on for ever")
}
