package smtp

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/protocols/delivery"
	"rookery/protocols/delivery/spool"
	"rookery/protocols/policy"
	"rookery/protocols/signin"
)

// people is a directory of a few.
type people struct{ away bool }

var errAway = rookery.E("people", rookery.KindUnavailable, errors.New("away"))

func (p *people) entry(local string) directory.Entry {
	a := rookery.Address{Local: local, Domain: "example.com"}
	return directory.Entry{Key: "test/" + local, Login: local, Primary: a, Addresses: []rookery.Address{a}}
}

func (p *people) Recipient(_ context.Context, addr rookery.Address) (directory.Entry, error) {
	if p.away {
		return directory.Entry{}, errAway
	}
	local, _ := addr.Detail()
	switch l := strings.ToLower(local); {
	case l == "anna" || l == "bert" || l == "full" || strings.HasPrefix(l, "user"):
		return p.entry(l), nil
	}
	return directory.Entry{}, rookery.E("people", rookery.KindNotFound, errors.New("nobody"))
}

func (p *people) Authenticate(_ context.Context, login, password string) (directory.Entry, error) {
	switch {
	case p.away:
		return directory.Entry{}, errAway
	case login == "anna" && password == "secret":
		return p.entry("anna"), nil
	case login == "gone":
		return directory.Entry{}, rookery.E("people", rookery.KindDisabled, nil)
	}
	return directory.Entry{}, rookery.E("people", rookery.KindCredentials, nil)
}

func (p *people) Local(domain string) bool { return domain == "example.com" }

// store takes messages as account store and deliverer.
type store struct {
	mu       sync.Mutex
	messages []string // trace and message
	requests []delivery.Request
	fail     error
	refuse   func(text string) error // nil: takes all
	hold     chan struct{}           // deliveries wait for it
	entered  chan struct{}
	limit    int64
}

func (*store) Ensure(_ context.Context, owner rookery.Owner, _ int64) (id rookery.AccountID, err error) {
	copy(id[:], owner.Key)
	return id, nil
}
func (st *store) Spool(lines spool.Lines, limit int64) *spool.Spool {
	return spool.New(spool.Options{Lines: lines, Limit: st.MaxSize()})
}
func (st *store) MaxSize() int64 {
	if st.limit > 0 {
		return st.limit
	}
	return 1 << 20
}
func (*store) Check(_ context.Context, id rookery.AccountID, _ int64) error {
	if strings.HasPrefix(string(id[:]), "test/full") {
		return rookery.E("check", rookery.KindOverQuota, nil)
	}
	return nil
}
func (st *store) Deliver(_ context.Context, r delivery.Request) error {
	if st.hold != nil {
		st.entered <- struct{}{}
		<-st.hold
	}
	v := r.Judge.OnMessage(context.Background(), &policy.Message{Content: r.Spool, ID: r.ID})
	if err := v.Err(); err != nil {
		return err
	}
	for _, f := range v.Add {
		r.Trace = fmt.Appendf(r.Trace, "%s: %s\r\n", f.Name, f.Value)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.fail != nil {
		return st.fail
	}
	rd, err := r.Spool.Open()
	if err != nil {
		return err
	}
	defer rd.Close()
	b, err := io.ReadAll(rd)
	if st.refuse != nil {
		if err := st.refuse(string(b)); err != nil {
			return err
		}
	}
	st.messages = append(st.messages, string(r.Trace)+string(b))
	st.requests = append(st.requests, r)
	return err
}

func (st *store) taken() []string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.messages
}

var testTLS = sync.OnceValue(func() *tls.Config {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example.com"},
		DNSNames: []string{"mail.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, _ := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
})

// signIn signs in without delays.
func signIn(d signin.Directory, l signin.Limits) *signin.Authenticator {
	l.Delay = -1
	return signin.New(signin.Options{Directory: d, Limits: l})
}

type rig struct {
	t      testing.TB
	server *Server
	people *people
	store  *store
	addr   string
	served chan error
}

func newRig(t testing.TB, mode Mode, change func(*Options)) *rig {
	r := &rig{t: t, people: &people{}, store: &store{}, served: make(chan error, 1)}
	router := &delivery.Router{Directory: r.people, Accounts: r.store}
	o := Options{SignIn: signIn(r.people, signin.Limits{}), Router: router, Deliver: r.store, TLS: testTLS(), Hostname: "mail.example.com",
		Policy: policy.New(policy.Options{Hostname: "mail.example.com", CheckSender: func() bool { return true }}),
		Limits: Limits{Stall: time.Minute}, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	r.server = New(o)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	go func() { r.served <- r.server.Serve(ctx, ln, mode) }()
	t.Cleanup(func() {
		cancel()
		<-r.served
		wait, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		if err := r.server.Shutdown(wait); err != nil {
			t.Errorf("connections are left: %v", err)
		}
	})
	return r
}

// client is a line-wise client.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (r *rig) dial() *client { return r.dialFor(r.t) }

func (r *rig) dialFor(t testing.TB) *client {
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	return &client{t, c, bufio.NewReader(c)}
}

func (r *rig) dialTLS() *client {
	c := r.dial()
	c.secure()
	return c
}

func (c *client) secure() {
	tc := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	c.Conn, c.r = tc, bufio.NewReader(tc)
}

func (c *client) send(s string) { io.WriteString(c.Conn, s) }

// reply reads one reply, all its lines.
func (c *client) reply() string {
	var b strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		b.WriteString(line)
		if err != nil {
			return b.String() + "[" + err.Error() + "]"
		}
		if len(line) > 3 && line[3] == ' ' {
			return b.String()
		}
	}
}

func (c *client) want(prefix string) string {
	c.t.Helper()
	got := c.reply()
	if !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("got %q, want %q", got, prefix)
	}
	return got
}

func (c *client) do(cmd, want string) string {
	c.t.Helper()
	c.send(cmd + "\r\n")
	return c.want(want)
}

func (c *client) hello() string {
	c.t.Helper()
	c.want("220 mail.example.com")
	return c.do("EHLO client.example.org", "250-")
}

func (c *client) envelope(to ...string) {
	c.t.Helper()
	c.do("MAIL FROM:<x@example.org>", "250 ")
	for _, a := range to {
		c.do("RCPT TO:<"+a+">", "250 ")
	}
}

func (c *client) closed() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		c.t.Fatalf("the connection is not closed: %q %v", b, err)
	}
}

func TestReceive(t *testing.T) {
	r := newRig(t, MX, nil)
	c := r.dial()
	ehlo := c.hello()
	for _, want := range []string{"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "STARTTLS", "SMTPUTF8", "DSN", "SIZE 1048576"} {
		if !strings.Contains(ehlo, want) {
			t.Errorf("EHLO lacks %s: %q", want, ehlo)
		}
	}
	if strings.Contains(ehlo, "AUTH") || strings.Contains(ehlo, "BINARYMIME") {
		t.Errorf("EHLO offers too much: %q", ehlo)
	}
	c.envelope("anna+lists@example.com")
	c.do("DATA", "354 ")
	c.do("Subject: hi\r\n\r\n..dot\r\nlast\r\n.", "250 2.0.0 Accepted as ")
	c.do("QUIT", "221 ")
	c.closed()
	got := r.store.taken()
	if len(got) != 1 {
		t.Fatal(got)
	}
	m := got[0]
	if !strings.HasPrefix(m, "Return-Path: <x@example.org>\r\nReceived: from client.example.org ([127.0.0.1])\r\n\tby "+
		"mail.example.com with ESMTP id ") ||
		!strings.Contains(m, "\tfor <anna+lists@example.com>;\r\n\t") || !strings.HasSuffix(m, "\r\nSubject: hi\r\n\r\n.dot\r\nlast\r\n") {
		t.Fatalf("%q", m)
	}
}

func TestRecipients(t *testing.T) {
	r := newRig(t, MX, func(o *Options) {
		o.Recipients = func() int { return 100 }
		o.Router.(*delivery.Router).Postmaster = func() rookery.Address { return rookery.Address{Local: "anna", Domain: "example.com"} }
	})
	c := r.dial()
	c.hello()
	c.do("RCPT TO:<anna@example.com>", "503 ")
	c.do("MAIL FROM:<>", "250 ")
	c.do("MAIL FROM:<>", "503 5.5.1 ")
	c.do("RCPT TO:<nobody@example.com>", "550 5.1.1 ")
	c.do("RCPT TO:<anna@example.org>", "550 5.7.1 ")
	c.do("RCPT TO:<full@example.com>", "452 4.2.2 ")
	c.do("RCPT TO:<a\x01b@example.com>", "501 5.1.3 ")
	c.do("RCPT TO:<ärger@example.com>", "501 5.1.3 ")
	c.do("RCPT TO:<PostMaster@example.com> NOTIFY=NEVER ORCPT=rfc822;postmaster@example.com", "250 ")
	r.people.away = true
	c.do("RCPT TO:<anna@example.com>", "451 4.4.3 ")
	r.people.away = false
	for i := range 200 {
		want := "250 "
		if i >= 99 {
			want = "452 4.5.3 "
		}
		c.do(fmt.Sprintf("RCPT TO:<user%d@example.com>", i), want)
	}
	c.do("DATA", "354 ")
	c.do("a: b\r\n\r\n.", "250 ")
	if n := len(r.store.requests[0].Recipients); n != 100 {
		t.Fatal(n)
	}
	if strings.Contains(r.store.messages[0], "for <") {
		t.Fatal("a message to many names one of them")
	}
}

func TestUnknownRecipientsEndTheConnection(t *testing.T) {
	r := newRig(t, MX, func(o *Options) { o.Limits.Unknown = 3 })
	c := r.dial()
	c.hello()
	c.do("MAIL FROM:<>", "250 ")
	c.do("RCPT TO:<n1@example.com>", "550 ")
	c.do("RCPT TO:<n2@example.com>", "550 ")
	c.do("RCPT TO:<n3@example.com>", "421 4.7.0 ")
	c.closed()
}

func TestPipelinedRepliesLeaveTogether(t *testing.T) {
	var writes, bytes int
	r := newRig(t, MX, nil)
	c := r.dial()
	c.hello()
	c.send("MAIL FROM:<x@example.org>\r\nRCPT TO:<anna@example.com>\r\nRCPT TO:<bert@example.com>\r\nDATA\r\n")
	buf := make([]byte, 4096)
	for bytes == 0 || !strings.Contains(string(buf[:bytes]), "354 ") {
		n, err := c.r.Read(buf[bytes:])
		if err != nil {
			t.Fatal(err)
		}
		bytes += n
		writes++
	}
	if writes != 1 {
		t.Errorf("four replies came in %d pieces", writes)
	}
	c.do("a: b\r\n\r\nc\r\n.", "250 ")
}

func TestDeliveryErrorsAreTemporary(t *testing.T) {
	r := newRig(t, MX, nil)
	c := r.dial()
	c.hello()
	for _, k := range rookery.Kinds() {
		r.store.fail = rookery.E("deliver", k, errors.New("some\r\nwords"))
		if k == rookery.KindUnknown {
			r.store.fail = errors.New("words")
		}
		want := "4"
		if k == rookery.KindTooLarge {
			want = "552"
		}
		c.envelope("anna@example.com")
		c.do("DATA", "354 ")
		c.do("a: b\r\n\r\nc\r\n.", want)
	}
}

func TestEveryKindHasAReply(t *testing.T) {
	for _, k := range rookery.Kinds() {
		r, ok := replies[k]
		if !ok || r.code/100 != r.enhanced[0] || r.text == "" {
			t.Errorf("%s: %+v", k, r)
		}
	}
	temporary := []rookery.Kind{rookery.KindUnknown, rookery.KindUnavailable, rookery.KindConflict, rookery.KindLimit,
		rookery.KindOverQuota, rookery.KindDamaged, rookery.KindExists}
	for _, k := range temporary {
		if replies[k].code/100 != 4 {
			t.Errorf("%s is answered %d", k, replies[k].code)
		}
	}
}

func TestLoop(t *testing.T) {
	r := newRig(t, MX, nil)
	c := r.dial()
	c.hello()
	c.envelope("anna@example.com")
	c.do("DATA", "354 ")
	c.do(strings.Repeat("Received: from a\r\n\tby b\r\n", 101)+"\r\nx\r\n.", "554 5.4.6 ")
	c.envelope("anna@example.com")
	c.do("DATA", "354 ")
	c.do(strings.Repeat("Received: from a\r\n\tby b\r\n", 100)+"\r\nx\r\n.", "250 ")
}

// TestLongHeader has the field that ends a loop behind what is kept in memory.
func TestLongHeader(t *testing.T) {
	r := newRig(t, MX, func(o *Options) {
		o.Deliver = &small{o.Deliver.(*store)}
	})
	c := r.dial()
	c.hello()
	pad := strings.Repeat("X-Pad: "+strings.Repeat("p", 900)+"\r\n", 60)
	for header, want := range map[string]string{
		pad + strings.Repeat("Received: from a\r\n\tby b\r\n", 101): "554 5.4.6 ",
		pad: "250 ",
	} {
		c.envelope("anna@example.com")
		c.do("DATA", "354 ")
		c.do(header+"\r\nx\r\n.", want)
	}
}

// small keeps little of a message in memory.
type small struct{ *store }

func (s *small) Spool(lines spool.Lines, _ int64) *spool.Spool {
	return spool.New(spool.Options{Lines: lines, Limit: s.MaxSize(), Memory: 32 << 10})
}

func TestTooLarge(t *testing.T) {
	r := newRig(t, MX, func(o *Options) { o.Deliver.(*store).limit = 10_000 })
	c := r.dial()
	c.hello()
	c.do("MAIL FROM:<x@example.org> SIZE=99999", "552 5.3.4 ")
	c.envelope("anna@example.com")
	c.do("DATA", "354 ")
	c.do(strings.Repeat("0123456789\r\n", 5000)+".", "552 5.3.4 ")
	c.do("NOOP", "250 ")
	c.envelope("anna@example.com")
	c.do("BDAT 20000 LAST\r\n"+strings.Repeat("x", 20000-2), "552 5.3.4 ")
	c.do("NOOP", "250 ")
	if got := r.store.taken(); len(got) != 0 {
		t.Fatal(len(got))
	}
}

func TestChunks(t *testing.T) {
	r := newRig(t, MX, nil)
	c := r.dial()
	c.hello()
	c.envelope("anna@example.com")
	c.do("BDAT 6\r\na: b", "250 ")
	c.do("BDAT 12 LAST\r\n\r\n.\r\nwords", "250 2.0.0 Accepted")
	if got := r.store.taken(); len(got) != 1 || !strings.HasSuffix(got[0], "a: b\r\n\r\n.\r\nwords\r\n") {
		t.Fatalf("%q", got)
	}
	c.envelope("anna@example.com")
	c.do("BDAT 6\r\na: b", "250 ")
	c.do("MAIL FROM:<>", "50")
	c.do("RCPT TO:<bert@example.com>", "50")
	c.do("DATA", "503 ")
	c.do("RSET", "250 ")
	c.do("BDAT 4 LAST\r\nabcdNOOP", "503 ")
	c.want("250 ")
	c.envelope("bert@example.com")
	c.do("BDAT 10 LAST\r\na: b\r\n\nx", "554 5.6.0 ")
	c.do("NOOP", "250 ")
	if got := r.store.taken(); len(got) != 1 {
		t.Fatalf("%q", got)
	}
}

// TestMostRecipients gives one recipient more than a message can have, however
// many the options allow.
func TestMostRecipients(t *testing.T) {
	r := newRig(t, MX, func(o *Options) { o.Recipients = func() int { return 5000 } })
	c := r.dial()
	if got := c.hello(); !strings.Contains(got, "LIMITS RCPTMAX=1000\r\n") {
		t.Errorf("EHLO says %q", got)
	}
	c.do("MAIL FROM:<x@example.org>", "250 ")
	go func() {
		for i := range delivery.MaxRecipients + 1 {
			c.send(fmt.Sprintf("RCPT TO:<user%d@example.com>\r\n", i))
		}
	}()
	for range delivery.MaxRecipients {
		c.want("250 ")
	}
	c.want("452 4.5.3 ")
	c.do("DATA", "354 ")
	c.do("a: b\r\n\r\nx\r\n.", "250 ")
	if n := len(r.store.requests[0].Recipients); n != delivery.MaxRecipients {
		t.Errorf("%d recipients", n)
	}
}
