package session_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"rookery"
	"rookery/protocols/dns"
	"rookery/protocols/outbound/session"
)

func later() time.Time { return time.Now().Add(time.Hour) }

// What the policy wants, what the peer does, and what is said of it.
func TestTLSPolicies(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	good := ca.config(t, "mx.example.org", later())
	expired := ca.config(t, "mx.example.org", time.Now().Add(-time.Hour))
	old := ca.config(t, "mx.example.org", later())
	old.MaxVersion = tls.VersionTLS11
	old.MinVersion = tls.VersionTLS10
	spoilt := &tls.Config{} // no certificate: its handshake fails
	offers := []string{"STARTTLS", "AUTH PLAIN"}
	verified := session.TLSPolicy{Mode: session.Verified, Roots: ca.pool}
	strange := verified
	strange.Roots = other.pool
	misnamed := verified
	misnamed.Names = []string{"mx.example.com", "mail.example.com"}
	named := verified
	named.Names = []string{"mx.example.com", "mx.example.org"}
	for name, c := range map[string]struct {
		p      *peer
		policy session.TLSPolicy
		fails  bool
		used   bool
		by     string
		why    string
	}{
		"opportunistic, offered": {&peer{features: offers, tls: good}, session.TLSPolicy{Roots: ca.pool}, false, true, "name", ""},
		"opportunistic, unknown": {
			&peer{features: offers, tls: good}, session.TLSPolicy{Roots: other.pool}, false, true, "", "unknown authority",
		},
		"opportunistic, old":         {&peer{features: offers, tls: old}, session.TLSPolicy{Roots: ca.pool}, false, true, "name", ""},
		"opportunistic, not offered": {&peer{}, session.TLSPolicy{}, false, false, "", "does not offer"},
		"opportunistic, refused": {
			&peer{features: offers, replies: map[string]string{"STARTTLS": "454 4.7.0 not now\r\n"}}, session.TLSPolicy{}, false, false, "", "454",
		},
		"opportunistic, spoilt": {&peer{features: offers, tls: spoilt}, session.TLSPolicy{}, false, false, "", "in clear"},
		"opportunistic, hangs up": {
			&peer{features: offers, replies: map[string]string{"STARTTLS": "close"}}, session.TLSPolicy{}, false, false, "", "in clear",
		},
		"in clear":                 {&peer{features: offers, tls: good}, session.TLSPolicy{Mode: session.InClear}, false, false, "", "policy"},
		"verified":                 {&peer{features: offers, tls: good}, verified, false, true, "name", ""},
		"verified by another name": {&peer{features: offers, tls: good}, named, false, true, "name", ""},
		"verified, wrong name":     {&peer{features: offers, tls: good}, misnamed, true, false, "", ""},
		"verified, unknown":        {&peer{features: offers, tls: good}, strange, true, false, "", ""},
		"verified, expired":        {&peer{features: offers, tls: expired}, verified, true, false, "", ""},
		"verified, old":            {&peer{features: offers, tls: old}, verified, true, false, "", ""},
		"verified, not offered":    {&peer{}, verified, true, false, "", ""},
		"verified, spoilt":         {&peer{features: offers, tls: spoilt}, verified, true, false, "", ""},
		"verified, refused": {
			&peer{features: offers, replies: map[string]string{"STARTTLS": "554 5.7.0 no\r\n"}}, verified, true, false, "", "",
		},
	} {
		s, err := session.Open(t.Context(), c.p.listen(t), session.Options{Hello: "us.example", TLS: c.policy})
		if c.fails {
			var e *session.Error
			if !errors.As(err, &e) || e.Stage != session.AtStartTLS {
				t.Errorf("%s: %v", name, err)
			}
			if v := c.p.verbs(); strings.Contains(v, "MAIL") || c.p.conns != 1 {
				t.Errorf("%s: %d connections, %s", name, c.p.conns, v)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		v := s.TLS()
		if v.Used != c.used || v.By != c.by || !strings.Contains(v.Why, c.why) || c.why == "" && v.Why != "" {
			t.Errorf("%s: %v, %+v", name, v, v)
		}
		if c.used && (v.Version == "" || v.Cipher == "") {
			t.Errorf("%s: %+v", name, v)
		}
		if st := send(t, s, envelope(t, "a@there.example"), plain); st[0].Outcome != session.Accepted {
			t.Errorf("%s: %+v", name, st)
		}
		s.Quit(t.Context())
	}
}

func TestImplicitTLS(t *testing.T) {
	ca := newAuthority(t)
	p := &peer{features: []string{"X"}}
	l, err := tls.Listen("tcp", "127.0.0.1:0", ca.config(t, "mx.example.org", later()))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			p.serve(c)
		}
	}()
	s, err := session.Open(t.Context(), session.Peer{Name: "mx.example.org", Addr: l.Addr().(*net.TCPAddr).AddrPort()}, session.Options{
		Hello: "us.example", TLS: session.TLSPolicy{Mode: session.Verified, Implicit: true, Roots: ca.pool},
	})
	if err != nil {
		t.Fatal(err)
	}
	if v := s.TLS(); v.By != "name" {
		t.Errorf("%v", v)
	}
	s.Quit(t.Context())
	<-done
}

// What was said in clear before the handshake counts for nothing after it.
func TestInjection(t *testing.T) {
	ca := newAuthority(t)
	p := &peer{
		features: []string{"STARTTLS", "PIPELINING"}, tls: ca.config(t, "mx.example.org", later()),
		replies: map[string]string{"STARTTLS": "220 2.0.0 go on\r\n250-injected\r\n250 AUTH PLAIN\r\n"},
	}
	s := dial(t, p, session.Options{TLS: session.TLSPolicy{Mode: session.Verified, Roots: ca.pool}})
	if _, ok := s.Offers("AUTH"); ok {
		t.Error("an offer from before the handshake is believed")
	}
	if _, ok := s.Offers("PIPELINING"); !ok {
		t.Error("EHLO after the handshake was not read")
	}
}

func tlsa(usage, selector, matching uint8, data []byte) dns.TLSA {
	return dns.TLSA{Usage: usage, Selector: selector, Matching: matching, Data: data}
}

func TestDANE(t *testing.T) {
	ca := newAuthority(t)
	conf := ca.config(t, "mx.example.org", later())
	expired := ca.config(t, "elsewhere.example", time.Now().Add(-time.Hour))
	leaf := func(c *tls.Config) *x509.Certificate {
		x, err := x509.ParseCertificate(c.Certificates[0].Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	sum := func(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
	sum512 := func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }
	spki := leaf(conf).RawSubjectPublicKeyInfo
	wrong := dns.TLSA{Usage: 3, Selector: 1, Matching: 1, Data: sum([]byte("another"))}
	alone := &tls.Config{Certificates: []tls.Certificate{{
		Certificate: conf.Certificates[0].Certificate[:1], PrivateKey: conf.Certificates[0].PrivateKey,
	}}}
	for name, c := range map[string]struct {
		conf    *tls.Config
		names   []string
		records []dns.TLSA
		by      string
		fails   bool
	}{
		"3 1 1":             {conf, nil, []dns.TLSA{wrong, tlsa(3, 1, 1, sum(spki))}, "DANE-EE", false},
		"3 0 1":             {conf, nil, []dns.TLSA{tlsa(3, 0, 1, sum(leaf(conf).Raw))}, "DANE-EE", false},
		"3 1 2":             {conf, nil, []dns.TLSA{tlsa(3, 1, 2, sum512(spki))}, "DANE-EE", false},
		"3 1 0":             {conf, nil, []dns.TLSA{tlsa(3, 1, 0, spki)}, "DANE-EE", false},
		"3 1 1, expired":    {expired, nil, []dns.TLSA{tlsa(3, 1, 1, sum(leaf(expired).RawSubjectPublicKeyInfo))}, "DANE-EE", false},
		"2 0 1":             {conf, nil, []dns.TLSA{tlsa(2, 0, 1, sum(ca.cert.Raw))}, "DANE-TA", false},
		"2 1 1":             {conf, nil, []dns.TLSA{tlsa(2, 1, 1, sum(ca.cert.RawSubjectPublicKeyInfo))}, "DANE-TA", false},
		"2 0 0, not sent":   {alone, nil, []dns.TLSA{tlsa(2, 0, 0, ca.cert.Raw)}, "DANE-TA", false},
		"2 0 1, not sent":   {alone, nil, []dns.TLSA{tlsa(2, 0, 1, sum(ca.cert.Raw))}, "", true},
		"2 0 1, wrong name": {conf, []string{"mx.example.com"}, []dns.TLSA{tlsa(2, 0, 1, sum(ca.cert.Raw))}, "", true},
		"2 0 1, expired":    {expired, []string{"elsewhere.example"}, []dns.TLSA{tlsa(2, 0, 1, sum(ca.cert.Raw))}, "", true},
		"2 1 1 of the leaf": {conf, nil, []dns.TLSA{tlsa(2, 1, 1, sum(spki))}, "", true},
		"no match":          {conf, nil, []dns.TLSA{wrong}, "", true},
		"unusable": {
			conf, nil, []dns.TLSA{tlsa(1, 1, 1, sum(spki)),
				tlsa(3, 1, 1, []byte("short")), tlsa(3, 2, 1, sum(spki)), tlsa(3, 1, 9, sum(spki))}, "", false,
		},
		"unusable and wrong":  {conf, nil, []dns.TLSA{tlsa(0, 1, 1, sum(spki)), wrong}, "", true},
		"expired by its name": {expired, nil, []dns.TLSA{wrong}, "", true},
	} {
		p := &peer{features: []string{"STARTTLS"}, tls: c.conf}
		s, err := session.Open(t.Context(), p.listen(t), session.Options{
			Hello: "us.example", TLS: session.TLSPolicy{Mode: session.DANE, TLSA: c.records, Names: c.names},
		})
		if c.fails {
			if !rookery.Is(err, rookery.KindUnavailable) || p.conns != 1 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || s.TLS().By != c.by || !s.TLS().Used {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s.Quit(t.Context())
	}
	if _, err := session.Open(t.Context(), (&peer{}).listen(t), session.Options{
		Hello: "us.example", TLS: session.TLSPolicy{Mode: session.DANE, TLSA: []dns.TLSA{wrong}},
	}); err == nil {
		t.Error("DANE went on without TLS")
	}
}

func TestAuth(t *testing.T) {
	ca := newAuthority(t)
	auth := &session.Auth{Username: "user", Password: "pass"}
	conf := ca.config(t, "mx.example.org", later())
	policy := session.TLSPolicy{Mode: session.Verified, Roots: ca.pool}
	for name, c := range map[string]struct {
		p      *peer
		policy session.TLSPolicy
		code   int
		want   string // the commands of AUTH
		fails  bool
	}{
		"PLAIN": {
			&peer{features: []string{"STARTTLS", "AUTH LOGIN PLAIN"}, tls: conf, replies: map[string]string{"AUTH": "235 2.7.0 yes\r\n"}},
			policy, 0, "AUTH PLAIN AHVzZXIAcGFzcw==", false,
		},
		"LOGIN": {
			&peer{features: []string{"STARTTLS", "AUTH LOGIN"}, tls: conf, replies: map[string]string{
				"AUTH": "334 VXNlcm5hbWU6\r\n", "dXNlcg==": "334 UGFzc3dvcmQ6\r\n", "cGFzcw==": "235 2.7.0 yes\r\n",
			}},
			policy, 0, "AUTH LOGIN|dXNlcg==|cGFzcw==", false,
		},
		"wrong": {
			&peer{features: []string{"STARTTLS", "AUTH PLAIN"}, tls: conf, replies: map[string]string{"AUTH": "535 5.7.8 no\r\n"}},
			policy, 535, "AUTH PLAIN AHVzZXIAcGFzcw==", true,
		},
		"asks for more than there is": {
			&peer{features: []string{"STARTTLS", "AUTH PLAIN"}, tls: conf, replies: map[string]string{"AUTH": "334 \r\n"}},
			policy, 334, "AUTH PLAIN AHVzZXIAcGFzcw==", true,
		},
		"no mechanism": {&peer{features: []string{"STARTTLS", "AUTH CRAM-MD5"}, tls: conf}, policy, 0, "", true},
		"in clear":     {&peer{features: []string{"AUTH PLAIN"}}, session.TLSPolicy{}, 0, "", true},
		"TLS fell back": {
			&peer{features: []string{"STARTTLS", "AUTH PLAIN"}, tls: &tls.Config{}}, session.TLSPolicy{}, 0, "", true,
		},
	} {
		s, err := session.Open(t.Context(), c.p.listen(t), session.Options{Hello: "us.example", TLS: c.policy, Auth: auth})
		var e *session.Error
		if c.fails != errors.As(err, &e) || c.fails && (e.Stage != session.AtAuth || e.Reply.Code != c.code) {
			t.Errorf("%s: %v", name, err)
		}
		var said []string
		for _, line := range c.p.said() {
			if !strings.HasPrefix(line, "EHLO") && line != "STARTTLS" {
				said = append(said, line)
			}
		}
		if got := strings.Join(said, "|"); got != c.want {
			t.Errorf("%s: said %q", name, got)
		}
		if s != nil {
			s.Close()
		}
	}
}
