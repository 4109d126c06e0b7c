package signin_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/protocols/imap"
	"rookery/protocols/pop3"
	"rookery/protocols/signin"
	"rookery/protocols/smtp"
)

// wrong is a directory that refuses every password, as wrong or as refuse says.
type wrong struct {
	binds  atomic.Int64
	refuse func(password string) error
}

func (w *wrong) Authenticate(_ context.Context, _, password string) (directory.Entry, error) {
	w.binds.Add(1)
	if w.refuse != nil {
		return directory.Entry{}, w.refuse(password)
	}
	return directory.Entry{}, rookery.E("bind", rookery.KindCredentials, errors.New("wrong"))
}

// deliverer takes nothing.
type deliverer struct{ smtp.Deliverer }

func (deliverer) MaxSize() int64 { return 1 << 20 }

// pipes is a listener whose connections are pipes that come from an address.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

type remote struct {
	net.Conn
	addr net.Addr
}

func (r remote) RemoteAddr() net.Addr { return r.addr }

// dial connects under TLS from an address and reads the greeting.
func (p *pipes) dial(from string) (net.Conn, *bufio.Reader, error) {
	near, far := net.Pipe()
	p.conns <- remote{far, &net.TCPAddr{IP: net.ParseIP(from), Port: 4711}}
	c := tls.Client(near, &tls.Config{InsecureSkipVerify: true})
	r := bufio.NewReader(c)
	_, err := r.ReadString('\n')
	return c, r, err
}

// protocols are servers of all protocols with one Authenticator.
type protocols struct {
	directory        *wrong
	imap, pop3, smtp *pipes
}

func serve(t *testing.T) *protocols {
	p := &protocols{new(wrong), newPipes(), newPipes(), newPipes()}
	a := signin.New(signin.Options{Directory: p.directory})
	i := imap.New(imap.Options{SignIn: a, TLS: certificate(t)})
	o := pop3.New(pop3.Options{SignIn: a, TLS: certificate(t), Hostname: "mail.example.org"})
	m := smtp.New(smtp.Options{SignIn: a, Deliver: deliverer{}, TLS: certificate(t), Hostname: "mail.example.org"})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { i.Serve(ctx, p.imap, imap.Mode{TLS: true}) })
	wg.Go(func() { o.Serve(ctx, p.pop3, pop3.TLS) })
	wg.Go(func() { m.Serve(ctx, p.smtp, smtp.Submissions) })
	t.Cleanup(func() {
		cancel()
		a.EndDelays()
		i.Shutdown(ctx)
		o.Shutdown(ctx)
		m.Shutdown(ctx)
		wg.Wait()
	})
	return p
}

func certificate(t *testing.T) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example.org"},
		NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// byPOP3 and byIMAP guess until the server closes, and give the answers.
func (p *protocols) byPOP3(from string, password func() string) (answers []string) {
	c, r, err := p.pop3.dial(from)
	for err == nil {
		fmt.Fprintf(c, "USER alice\r\nPASS %s\r\n", password())
		var line string
		if _, err = r.ReadString('\n'); err == nil {
			line, err = r.ReadString('\n')
		}
		if err == nil {
			answers = append(answers, strings.TrimSpace(line))
		}
	}
	c.Close()
	return answers
}

func (p *protocols) byIMAP(from string, password func() string) (answers []string) {
	c, r, err := p.imap.dial(from)
	for err == nil {
		fmt.Fprintf(c, "a LOGIN alice %s\r\n", password())
		for err == nil {
			var line string
			if line, err = r.ReadString('\n'); strings.HasPrefix(line, "a ") {
				answers = append(answers, strings.TrimSpace(line))
				break
			}
		}
	}
	c.Close()
	return answers
}

// bySMTP guesses once, and gives the answer.
func (p *protocols) bySMTP(from, password string) string {
	c, r, err := p.smtp.dial(from)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	plain := base64.StdEncoding.EncodeToString([]byte("\x00alice\x00" + password))
	fmt.Fprintf(c, "EHLO client\r\nAUTH PLAIN %s\r\n", plain)
	for {
		line, err := r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, "250") {
			return strings.TrimSpace(line)
		}
	}
}

// Guesses by SMTP, POP3 and IMAP spend one budget, and who has spent it is told
// to come back later.
func TestProtocolsCountTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := serve(t)
		n := 0
		password := func() string { n++; return fmt.Sprint("guess", n) }
		if answer := p.bySMTP("192.0.2.1", password()); !strings.HasPrefix(answer, "535 5.7.8 ") {
			t.Errorf("%q", answer)
		}
		imap := p.byIMAP("192.0.2.1", password)
		pop := p.byPOP3("192.0.2.1", password)
		wantIMAP := strings.Repeat("a NO [AUTHENTICATIONFAILED]|", 4)
		wantPOP := strings.Repeat("-ERR [SYS/TEMP]|", 4)
		for want, got := range map[string][]string{wantPOP: pop, wantIMAP: imap} {
			for i, prefix := range strings.Split(strings.TrimSuffix(want, "|"), "|") {
				if i >= len(got) || !strings.HasPrefix(got[i], prefix) {
					t.Fatalf("%q, want %q", got, want)
				}
			}
		}
		if imap := p.byIMAP("192.0.2.1", password); len(imap) != 4 || !strings.HasPrefix(imap[0], "a NO [LIMIT]") {
			t.Errorf("%q", imap)
		}
		if answer := p.bySMTP("192.0.2.1", password()); !strings.HasPrefix(answer, "454 4.7.0 ") {
			t.Errorf("%q", answer)
		}
		if n := p.directory.binds.Load(); n != 5 {
			t.Errorf("%d binds", n)
		}
	})
}

// 48 clients of many networks guess at one account through POP3, each as fast
// as it can, for half an hour: a bounded number of guesses is looked at.
func TestGuessingThroughPOP3Ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := serve(t)
		end := time.Now().Add(30 * time.Minute)
		var guesses, looked atomic.Int64
		var wg sync.WaitGroup
		for i := range 48 {
			wg.Go(func() {
				for n := 0; time.Now().Before(end); n++ {
					from := fmt.Sprintf("10.0.%d.%d", i, n%250)
					for _, answer := range p.byPOP3(from, func() string { return fmt.Sprint("guess", guesses.Add(1)) }) {
						if strings.HasPrefix(answer, "-ERR [AUTH]") {
							looked.Add(1)
						}
					}
				}
			})
		}
		wg.Wait()
		binds := p.directory.binds.Load()
		t.Logf("%d guesses, %d looked at, %d binds", guesses.Load(), looked.Load(), binds)
		if most := int64(10 + 30/3); looked.Load() > most || binds > most {
			t.Errorf("%d guesses of %d were looked at and %d binds made, want at most %d", looked.Load(), guesses.Load(), binds, most)
		}
	})
}
