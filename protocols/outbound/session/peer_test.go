package session_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery"
	"rookery/protocols/outbound/session"
)

// peer is an SMTP server that a test makes misbehave. It answers everything well
// but what replies has, by the beginning of a command.
type peer struct {
	features []string // of EHLO
	// replies answers a command otherwise: the text is written as it is, "close"
	// closes without a word, and what ends in "|close" closes behind it.
	replies map[string]string
	hook    map[string]func(net.Conn)
	tls     *tls.Config
	banner  string // "220 peer ESMTP"

	mu       sync.Mutex
	commands []string
	messages []string
	conns    int
}

func (p *peer) serve(raw net.Conn) {
	p.mu.Lock()
	p.conns++
	p.mu.Unlock()
	defer raw.Close()
	conn := raw
	in := bufio.NewReader(conn)
	if p.banner == "" {
		p.banner = "220 peer ESMTP\r\n"
	}
	if !p.say(conn, p.banner) {
		return
	}
	chunks := ""
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		p.mu.Lock()
		p.commands = append(p.commands, line)
		p.mu.Unlock()
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		reply, text := p.answer(verb), ""
		switch verb {
		case "BDAT":
			var n int
			var last string
			fmt.Sscanf(line, "BDAT %d %s", &n, &last)
			b := make([]byte, n)
			if _, err := io.ReadFull(in, b); err != nil {
				return
			}
			if chunks += string(b); last == "LAST" {
				text, chunks = chunks, ""
				p.keep(text)
			}
		case "QUIT":
			p.say(conn, reply)
			return
		}
		if over, ok := p.override(line); ok {
			reply = over
		}
		if hook := p.hook[verb]; hook != nil {
			hook(conn)
		}
		if !p.say(conn, reply) {
			return
		}
		switch {
		case verb == "DATA" && strings.HasPrefix(reply, "354"):
			text, err := readData(in)
			if err != nil {
				return
			}
			p.keep(text)
			reply, ok := p.override(".")
			if !ok {
				reply = "250 2.0.0 taken\r\n"
			}
			if !p.say(conn, reply) {
				return
			}
		case verb == "STARTTLS" && strings.HasPrefix(reply, "220"):
			c := tls.Server(conn, p.tls)
			if c.Handshake() != nil {
				return
			}
			conn, in = c, bufio.NewReader(c)
		}
	}
}

func (p *peer) override(line string) (string, bool) {
	for k, v := range p.replies {
		if strings.HasPrefix(line, k) {
			return v, true
		}
	}
	return "", false
}

func (p *peer) answer(verb string) string {
	switch verb {
	case "EHLO":
		all := append([]string{"peer"}, p.features...)
		var b strings.Builder
		for i, f := range all {
			sep := "-"
			if i == len(all)-1 {
				sep = " "
			}
			b.WriteString("250" + sep + f + "\r\n")
		}
		return b.String()
	case "DATA":
		return "354 go on\r\n"
	case "QUIT":
		return "221 2.0.0 bye\r\n"
	case "STARTTLS":
		return "220 2.0.0 go on\r\n"
	case "MAIL", "RCPT", "RSET", "BDAT", "HELO":
		return "250 2.1.0 fine\r\n"
	}
	return "500 5.5.1 unknown\r\n"
}

func (p *peer) keep(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages = append(p.messages, text)
}

func (p *peer) say(conn net.Conn, text string) bool {
	text, closes := strings.CutSuffix(text, "close")
	io.WriteString(conn, strings.TrimSuffix(text, "|"))
	return !closes
}

// verbs are the commands, without what follows their first word.
func (p *peer) verbs() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var v []string
	for _, c := range p.commands {
		word, _, _ := strings.Cut(c, " ")
		v = append(v, word)
	}
	return strings.Join(v, " ")
}

func (p *peer) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.commands...)
}

func (p *peer) got() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.messages...)
}

// readData is RFC 5321 4.5.2 written a second time.
func readData(in *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if line == ".\r\n" {
			return b.String(), nil
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
}

// listen serves the peer on loopback.
func (p *peer) listen(t testing.TB) session.Peer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { l.Close() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(c) })
		}
	})
	return session.Peer{Name: "mx.example.org", Addr: l.Addr().(*net.TCPAddr).AddrPort()}
}

func dial(t testing.TB, p *peer, o session.Options) *session.Session {
	t.Helper()
	o.Hello = "us.example"
	s, err := session.Open(t.Context(), p.listen(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func addr(t testing.TB, s string) rookery.Address {
	t.Helper()
	a, err := rookery.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func envelope(t testing.TB, rcpts ...string) session.Envelope {
	e := session.Envelope{From: addr(t, "alice@us.example")}
	for _, r := range rcpts {
		e.Recipients = append(e.Recipients, session.Recipient{Address: addr(t, r)})
	}
	return e
}

func message(t testing.TB, text string) session.Message {
	t.Helper()
	form, err := session.Inspect(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return session.Message{Form: form, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
}

// authority makes certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	a := &authority{pool: x509.NewCertPool()}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, _ = x509.ParseCertificate(der)
	a.pool.AddCert(a.cert)
	return a
}

// config is a server's with a certificate for a name, its issuer beside it.
func (a *authority) config(t testing.TB, name string, until time.Time) *tls.Config {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}}}
}
