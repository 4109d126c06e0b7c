package interop

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"strings"
)

// briefly is one message each way, and one that DANE keeps.
func briefly(w *peers) {
	w.submit(letter{to: "bob@good.far.example", subject: "to good"})
	w.submit(letter{to: "bob@bogus.far.example", subject: "to bogus"})
	w.has(w.arrived(w.mail, "to good"), "using TLSv1.3")
	w.kept("bogus.far.example", "dane: no TLS", "SERVFAIL")
	w.inject(postfixAt+":25", letter{from: "bob@good.far.example", subject: "back"})
	w.has(w.inbox("back"), "with ESMTPS")
	if n := len(delivered(w.mail)); n != 1 {
		w.t.Errorf("Postfix has %d messages", n)
	}
}

// outward is mail to Postfix: in clear, with TLS that nobody asks for, by DANE, and
// kept by DANE.
func outward(w *peers) {
	for _, domain := range []string{"good", "absent", "plain", "bogus", "wrong"} {
		w.submit(letter{to: "bob@" + domain + ".far.example", subject: "to " + domain})
	}
	w.has(w.arrived(w.mail, "to good"), "using TLSv1.3")
	w.has(w.arrived(w.mail, "to absent"), "using TLSv1.3")
	plain := w.arrived(w.mail, "to plain")
	w.has(plain, "by mx.far.example (Postfix) with ESMTP id")
	if strings.Contains(plain, "using TLS") {
		w.t.Errorf("the message came under TLS:\n%s", plain)
	}
	w.kept("bogus.far.example", "dane: no TLS", "SERVFAIL")
	w.kept("wrong.far.example", "dane: no TLS", "no TLSA record names the peer's certificate")
	w.submit(letter{to: "bjørn@good.far.example", subject: "blåbær", mail: "SMTPUTF8 BODY=8BITMIME"})
	w.has(w.arrived(w.mail, "blåbær"), "with UTF8SMTPS")
	w.submit(letter{to: "bob@good.far.example", subject: "large", extra: large()})
	if m := w.arrived(w.mail, "large"); strings.Count(m, strings.Repeat("x", 98)+"\n") != 100_000 {
		w.t.Errorf("a message of %d octets arrived", len(m))
	}
	w.submit(letter{to: "bob@good.far.example", subject: "confirmed", rcpt: "NOTIFY=SUCCESS", mail: "RET=HDRS ENVID=e1"})
	w.arrived(w.mail, "confirmed")
	w.has(w.inbox("Successful Mail Delivery Report"), "Original-Envelope-Id: e1", "Action: delivered", "Reporting-MTA: dns; mx.far.example")
	for _, m := range delivered(w.mail) {
		if strings.Contains(m, "to bogus") || strings.Contains(m, "to wrong") {
			w.t.Errorf("what DANE keeps was sent:\n%s", m)
		}
	}
}

// startPolicies serves the MTA-STS policies of domains.
func (w *peers) startPolicies() {
	served := map[string]string{
		"enforced": "mode: enforce\nmx: mxsts.far.example\n", "misnamed": "mode: enforce\nmx: mxmisnamed.far.example\n",
		"unlisted": "mode: enforce\nmx: other.far.example\n", "tested": "mode: testing\nmx: other.far.example\n",
	}
	var names []string
	for d := range served {
		names = append(names, "mta-sts."+d+".far.example")
	}
	cert, key, _ := w.ca.pair(w.t, w.dir, "policy", names...)
	pair, err := tls.LoadX509KeyPair(cert, key)
	must(w.t, err)
	l, err := tls.Listen("tcp", policyAt+":443", &tls.Config{Certificates: []tls.Certificate{pair}})
	must(w.t, err)
	srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		domain, _, _ := strings.Cut(strings.TrimPrefix(r.Host, "mta-sts."), ".")
		rw.Header().Set("Content-Type", "text/plain")
		io.WriteString(rw, "version: STSv1\n"+served[domain]+"max_age: 86400\n")
	})}
	done := make(chan struct{})
	go func() { srv.Serve(l); close(done) }()
	w.t.Cleanup(func() { srv.Close(); <-done })
}

// policies is mail to domains with MTA-STS policies, and to one of which the
// administrator wants verified TLS.
func policies(w *peers) {
	w.set("outbound.tls_required", `["required.far.example"]`)
	for _, domain := range []string{"enforced", "tested", "misnamed", "unlisted", "required"} {
		w.submit(letter{to: "bob@" + domain + ".far.example", subject: "to " + domain})
	}
	w.has(w.arrived(w.mail, "to enforced"), "using TLSv1.3")
	w.has(w.arrived(w.mail, "to tested"), "using TLSv1.3")
	w.kept("misnamed.far.example", "sts: no TLS", "mxmisnamed.far.example")
	w.kept("unlisted.far.example", "sts: no TLS", "does not name the host")
	w.kept("required.far.example", "required: no TLS", "mxrequired.far.example")
	w.set("outbound.tls_required", `[]`)
	w.submit(letter{to: "bob@required.far.example", subject: "no more required"})
	w.arrived(w.mail, "no more required")
}

// inward is mail from Postfix to us.
func inward(w *peers) {
	fromPeer(w, postfixAt+":25", "postfix", "bob@good.far.example")
	w.inject(postfixAt+":25", letter{from: "bob@good.far.example", subject: "in confirmed", rcpt: "NOTIFY=SUCCESS", mail: "ENVID=e3"})
	w.inbox("in confirmed")
}

// fromPeer is mail from another system: under TLS, in UTF-8, large, and confirmed.
func fromPeer(w *peers, addr, name, from string) {
	w.inject(addr, letter{from: from, subject: name + " plainly"})
	w.has(w.inbox(name+" plainly"), "with ESMTPS")
	w.inject(addr, letter{from: strings.Replace(from, "@", "ø@", 1), subject: name + " blåbær", mail: "SMTPUTF8 BODY=8BITMIME"})
	w.has(w.inbox(name+" bl"), "with UTF8SMTPS", "blåbær")
	w.inject(addr, letter{from: from, subject: name + " large", extra: large()})
	if m := w.inbox(name + " large"); strings.Count(m, strings.Repeat("x", 98)+"\r\n") != 100_000 {
		w.t.Errorf("a message of %d octets arrived", len(m))
	}
}
