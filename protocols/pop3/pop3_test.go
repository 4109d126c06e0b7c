package pop3

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
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery"
	"rookery/directory"
	"rookery/protocols/signin"
	"rookery/storage/uidset"
)

// people is a directory of one.
type people struct{ away bool }

func (p *people) Recipient(context.Context, rookery.Address) (directory.Entry, error) {
	return directory.Entry{}, rookery.E("people", rookery.KindNotFound, nil)
}

func (p *people) Authenticate(_ context.Context, login, password string) (directory.Entry, error) {
	switch {
	case p.away:
		return directory.Entry{}, rookery.E("people", rookery.KindUnavailable, errors.New("away"))
	case login == "anna" && password == "two words":
		return directory.Entry{Key: "test/anna", Login: "anna"}, nil
	}
	return directory.Entry{}, rookery.E("people", rookery.KindCredentials, nil)
}

func (p *people) Local(string) bool { return true }

// box is a maildrop in memory.
type box struct {
	mu      sync.Mutex
	mail    map[rookery.UID]string
	ids     map[rookery.UID]string
	err     error // of everything
	rests   int
	removed []rookery.UID
}

func newBox(mail ...string) *box {
	b := &box{mail: map[rookery.UID]string{}, ids: map[rookery.UID]string{2: "imported-id"}}
	for i, m := range mail {
		b.mail[rookery.UID(i+1)] = m
	}
	return b
}

func (b *box) list(context.Context) (listing, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := listing{validity: 77, ids: b.ids}
	for uid := rookery.UID(1); int(uid) <= len(b.mail); uid++ {
		l.messages = append(l.messages, entry{uid, uint32(len(b.mail[uid]))})
	}
	return l, b.err
}

func (b *box) message(_ context.Context, uid rookery.UID) (opened, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m, ok := b.mail[uid]
	if b.err != nil {
		return nil, b.err
	}
	if !ok {
		return nil, rookery.E("box", rookery.KindNotFound, nil)
	}
	return letter(m), nil
}

func (b *box) remove(_ context.Context, uids uidset.Set) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		for uid := range uids.All() {
			b.removed = append(b.removed, uid)
		}
	}
	return b.err
}

func (b *box) rest() { b.mu.Lock(); b.rests++; b.mu.Unlock() }

func (b *box) rested() int { b.mu.Lock(); defer b.mu.Unlock(); return b.rests }

// letter is a message. One with "BROKEN" in it breaks off there.
type letter string

func (l letter) size() int64 { return int64(len(l)) }
func (l letter) close()      {}
func (l letter) header(context.Context) ([]byte, bool, error) {
	if strings.HasPrefix(string(l), "\r\n") {
		return []byte("\r\n"), true, nil
	}
	if i := strings.Index(string(l), "\r\n\r\n"); i >= 0 {
		return []byte(l[:i+4]), !strings.Contains(string(l), "huge"), nil
	}
	return []byte(l), true, nil
}
func (l letter) write(_ context.Context, w io.Writer, off int64) error {
	text := string(l)
	if i := strings.Index(text, "BROKEN"); i >= 0 {
		io.WriteString(w, text[off:i])
		return rookery.E("letter", rookery.KindDamaged, nil)
	}
	for rest := text[off:]; rest != ""; { // in small pieces
		n := min(len(rest), 7)
		if _, err := io.WriteString(w, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

var testTLS = sync.OnceValue(func() *tls.Config {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example.com"},
		DNSNames: []string{"mail.example.com"}, NotAfter: time.Now().Add(time.Hour)}
	der, _ := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
})

// oneAccount is everybody's.
type oneAccount struct{}

func (oneAccount) Ensure(context.Context, rookery.Owner, int64) (rookery.AccountID, error) {
	return rookery.AccountID{1}, nil
}

// signIn signs in without delays; accounts may be nil.
func signIn(d signin.Directory, accounts signin.Accounts) *signin.Authenticator {
	if accounts == nil {
		accounts = oneAccount{}
	}
	return signin.New(signin.Options{Directory: d, Accounts: accounts, Limits: signin.Limits{Delay: -1}})
}

type rig struct {
	server *Server
	people *people
	box    *box
	addr   string
	served chan error
}

func newRig(t testing.TB, mode Mode, b *box, change func(*Options)) *rig {
	r := &rig{people: &people{}, box: b, served: make(chan error, 1)}
	o := Options{SignIn: signIn(r.people, nil), TLS: testTLS(), Hostname: "mail.example.com"}
	if change != nil {
		change(&o)
	}
	r.server = New(o)
	if b != nil {
		r.server.open = func(context.Context, rookery.AccountID) (maildrop, error) { return b, nil }
	}
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

type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func (r *rig) dial(t testing.TB) *client {
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(2 * time.Minute))
	return &client{t, c, bufio.NewReader(c)}
}

func (c *client) secure() {
	tc := tls.Client(c.Conn, &tls.Config{InsecureSkipVerify: true})
	c.Conn, c.r = tc, bufio.NewReader(tc)
}

func (c *client) want(prefix string) string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, prefix) {
		c.t.Fatalf("got %q %v, want %q", line, err, prefix)
	}
	return line
}

func (c *client) do(cmd, want string) string {
	c.t.Helper()
	io.WriteString(c.Conn, cmd+"\r\n")
	return c.want(want)
}

// rest reads to the final dot, undoing nothing.
func (c *client) rest() string {
	c.t.Helper()
	var b strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("after %q: %v", b.String(), err)
		}
		if line == ".\r\n" {
			return b.String()
		}
		b.WriteString(line)
	}
}

func (c *client) closed() {
	c.t.Helper()
	if b, err := io.ReadAll(c.r); err != nil || len(b) > 0 {
		c.t.Fatalf("the connection is not closed: %q %v", b, err)
	}
}

// signedIn is a client in the TRANSACTION state.
func (r *rig) signedIn(t testing.TB) *client {
	t.Helper()
	c := r.dial(t)
	c.secure()
	c.want("+OK mail.example.com")
	c.do("USER anna", "+OK")
	c.do("PASS two words", "+OK")
	return c
}

var letters = []string{
	"Subject: one\r\n\r\nhello\r\n.hidden\r\n..\r\nlast\r\n",
	"Subject: two\r\n\r\nno end",
	"Subject: only a header\r\n",
	"\r\nonly a body\r\n",
}

func TestSession(t *testing.T) {
	// The last one's header is not kept whole: TOP reads it from the body.
	letters := append(letters, "Subject: huge\r\n\r\n.one\r\ntwo\r\n")
	r := newRig(t, TLS, newBox(letters...), nil)
	c := r.signedIn(t)
	c.do("STAT", fmt.Sprintf("+OK 5 %d\r\n", len(strings.Join(letters, ""))))
	c.do("LIST", "+OK")
	if got, want := c.rest(), fmt.Sprintf("1 %d\r\n2 %d\r\n3 %d\r\n4 %d\r\n5 28\r\n", len(letters[0]), len(letters[1]),
		len(letters[2]), len(letters[3])); got != want {
		t.Errorf("%q", got)
	}
	c.do("LIST 2", fmt.Sprintf("+OK 2 %d\r\n", len(letters[1])))
	c.do("UIDL", "+OK")
	if got := c.rest(); got != "1 77.1\r\n2 imported-id\r\n3 77.3\r\n4 77.4\r\n5 77.5\r\n" {
		t.Errorf("%q", got)
	}
	c.do("UIDL 2", "+OK 2 imported-id\r\n")
	for n, want := range map[int]string{
		1: "Subject: one\r\n\r\nhello\r\n..hidden\r\n...\r\nlast\r\n",
		2: "Subject: two\r\n\r\nno end\r\n",
		3: "Subject: only a header\r\n",
		4: "\r\nonly a body\r\n",
	} {
		c.do(fmt.Sprint("RETR ", n), "+OK")
		if got := c.rest(); got != want {
			t.Errorf("RETR %d: %q", n, got)
		}
	}
	for cmd, want := range map[string]string{
		"TOP 1 0": "Subject: one\r\n\r\n", "TOP 1 1": "Subject: one\r\n\r\nhello\r\n",
		"TOP 1 2": "Subject: one\r\n\r\nhello\r\n..hidden\r\n", "TOP 1 99": "Subject: one\r\n\r\nhello\r\n..hidden\r\n...\r\nlast\r\n",
		"TOP 3 0": "Subject: only a header\r\n\r\n", "TOP 3 5": "Subject: only a header\r\n\r\n",
		"TOP 5 1": "Subject: huge\r\n\r\n..one\r\n",
		"TOP 2 1": "Subject: two\r\n\r\nno end\r\n", "TOP 4 1": "\r\nonly a body\r\n",
	} {
		c.do(cmd, "+OK")
		if got := c.rest(); got != want {
			t.Errorf("%s: %q", cmd, got)
		}
	}
	for _, bad := range []string{"RETR 0", "RETR 6", "RETR x", "TOP 1", "TOP 1 -1", "DELE", "LIST 99999999999"} {
		c.do(bad, "-ERR")
	}
	c.do("NOOP", "+OK")
}

func TestDelete(t *testing.T) {
	r := newRig(t, TLS, newBox(letters...), nil)
	c := r.signedIn(t)
	c.do("DELE 1", "+OK")
	c.do("DELE 1", "-ERR")
	c.do("RETR 1", "-ERR")
	c.do("LIST 1", "-ERR")
	c.do("STAT", "+OK 3 ")
	c.do("UIDL", "+OK")
	if got := c.rest(); strings.HasPrefix(got, "1 ") {
		t.Errorf("%q", got)
	}
	c.do("RSET", "+OK 4 ")
	c.do("STAT", fmt.Sprintf("+OK 4 %d\r\n", len(strings.Join(letters, ""))))
	c.do("DELE 2", "+OK")
	c.do("DELE 3", "+OK")
	if len(r.box.removed) != 0 {
		t.Fatal("removed before QUIT")
	}
	c.do("QUIT", "+OK")
	c.closed()
	if fmt.Sprint(r.box.removed) != "[2 3]" {
		t.Fatal(r.box.removed)
	}
	// Without QUIT nothing goes.
	c = r.signedIn(t)
	c.do("DELE 4", "+OK")
	c.Close()
	c = r.signedIn(t)
	c.do("DELE 4", "+OK")
	r.box.mu.Lock()
	r.box.err = errors.New("doubt")
	r.box.mu.Unlock()
	c.do("QUIT", "-ERR [SYS/TEMP]")
	c.closed()
	if len(r.box.removed) != 2 {
		t.Fatal(r.box.removed)
	}
}

func TestMessageGoneMeanwhile(t *testing.T) {
	r := newRig(t, TLS, newBox(append(letters, "a: b\r\n\r\nBROKEN")...), nil)
	c := r.signedIn(t)
	r.box.mu.Lock()
	delete(r.box.mail, 2)
	r.box.mu.Unlock()
	c.do("RETR 2", "-ERR No such message")
	c.do("TOP 2 1", "-ERR No such message")
	c.do("RETR 1", "+OK")
	c.rest()
	c.do("LIST", "+OK 5 messages")
	c.rest()
	// Half a message must not pass for a whole one.
	c.do("RETR 5", "+OK")
	if b, _ := io.ReadAll(c.r); strings.HasSuffix(string(b), ".\r\n") {
		t.Fatalf("%q", b)
	}
}

func TestPipelining(t *testing.T) {
	r := newRig(t, TLS, newBox(letters...), nil)
	c := r.signedIn(t)
	before := r.box.rested()
	io.WriteString(c.Conn, "NOOP\r\nRETR 1\r\nRETR 4\r\nDELE 1\r\nQUIT\r\n")
	c.want("+OK Still")
	c.want("+OK ")
	c.rest()
	c.want("+OK ")
	if got := c.rest(); got != letters[3] {
		t.Errorf("%q", got)
	}
	c.want("+OK Marked")
	c.want("+OK Bye")
	c.closed()
	if n := r.box.rested() - before; n > 2 {
		t.Errorf("the view was given up %d times in one batch", n)
	}
}

func TestSignIn(t *testing.T) {
	plain := base64.StdEncoding.EncodeToString([]byte("\x00anna\x00two words"))
	r := newRig(t, STLS, newBox(letters...), nil)
	c := r.dial(t)
	c.want("+OK")
	c.do("CAPA", "+OK")
	if capa := c.rest(); !strings.Contains(capa, "STLS\r\n") || strings.Contains(capa, "SASL") || strings.Contains(capa, "USER") {
		t.Errorf("%q", capa)
	}
	for _, cmd := range []string{"USER anna", "PASS two words", "AUTH PLAIN " + plain, "STAT"} {
		c.do(cmd, "-ERR")
	}
	io.WriteString(c.Conn, "STLS\r\nUSER injected\r\n")
	c.want("+OK")
	c.secure()
	c.do("PASS two words", "-ERR Give USER first")
	c.do("STLS", "-ERR")
	c.do("CAPA", "+OK")
	if capa := c.rest(); strings.Contains(capa, "STLS\r\n") || !strings.Contains(capa, "SASL PLAIN\r\n") ||
		!strings.Contains(capa, "USER\r\n") {
		t.Errorf("%q", capa)
	}
	r.people.away = true
	c.do("AUTH PLAIN "+plain, "-ERR [SYS/TEMP]")
	r.people.away = false
	c.do("AUTH", "+OK")
	c.rest()
	c.do("AUTH CRAM-MD5", "-ERR")
	c.do("AUTH PLAIN", "+ ")
	c.do("*", "-ERR")
	c.do("AUTH PLAIN", "+ ")
	c.do(plain, "+OK 4 messages")
	c.do("CAPA", "+OK")
	if capa := c.rest(); strings.Contains(capa, "SASL") || !strings.Contains(capa, "UIDL\r\n") {
		t.Errorf("%q", capa)
	}
	c.do("AUTH PLAIN "+plain, "-ERR")
	c.do("USER anna", "-ERR")
}

func TestFailuresEndTheConnection(t *testing.T) {
	r := newRig(t, TLS, newBox(), func(o *Options) {
		o.SignIn = signin.New(signin.Options{Directory: &people{}, Limits: signin.Limits{Delay: -1, Failures: 3}})
		o.Limits.Errors = 4
	})
	c := r.dial(t)
	c.secure()
	c.want("+OK")
	for range 3 {
		c.do("USER anna", "+OK")
		c.do("PASS wrong", "-ERR [AUTH]")
	}
	c.closed()
	c = r.dial(t)
	c.secure()
	c.want("+OK")
	for range 4 {
		c.do("FOO", "-ERR")
	}
	c.closed()
	c = r.dial(t)
	c.secure()
	c.want("+OK")
	c.do(strings.Repeat("x", 3000), "-ERR Line too long")
	c.closed()
}

func TestMailboxThatDoesNotOpen(t *testing.T) {
	b := newBox()
	b.err = rookery.E("box", rookery.KindNotFound, errors.New("not here"))
	r := newRig(t, TLS, b, nil)
	c := r.dial(t)
	c.secure()
	c.want("+OK")
	c.do("USER anna", "+OK")
	c.do("PASS two words", "-ERR [SYS/TEMP]")
	c.do("STAT", "-ERR Sign in first")
}

func TestEveryKindHasAResponse(t *testing.T) {
	for _, k := range rookery.Kinds() {
		text := responses[k]
		if text == "" {
			t.Errorf("%s has none", k)
		}
		if strings.HasPrefix(text, "[AUTH]") != (k == rookery.KindCredentials || k == rookery.KindDisabled) {
			t.Errorf("%s: %s", k, text)
		}
	}
	for _, k := range []rookery.Kind{rookery.KindUnknown, rookery.KindUnavailable, rookery.KindLimit, rookery.KindConflict} {
		if !strings.HasPrefix(responses[k], "[SYS/TEMP]") {
			t.Errorf("%s: %s", k, responses[k])
		}
	}
}

func TestShutdownDrains(t *testing.T) {
	r := newRig(t, TLS, newBox(letters...), nil)
	c := r.signedIn(t)
	c.do("DELE 1", "+OK")
	if err := r.server.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.want("-ERR [SYS/TEMP] Shutting down")
	c.closed()
	if len(r.box.removed) != 0 {
		t.Fatal("a shutdown deletes mail")
	}
}

func TestDeadlines(t *testing.T) {
	r := newRig(t, TLS, newBox(letters...), func(o *Options) { o.Limits.SignIn = 200 * time.Millisecond })
	c := r.dial(t)
	if _, err := c.r.ReadByte(); err == nil {
		t.Fatal("waits for ever for TLS")
	}
	c = r.dial(t)
	c.secure()
	c.want("+OK")
	c.want("-ERR [SYS/TEMP] Idle")
	c.closed()
}

// TestStuffing feeds every split of awkward texts and undoes the stuffing.
func TestStuffing(t *testing.T) {
	for _, text := range []string{"", "\r\n", ".", "..", ".\r\n", "a\r\n.", "a: b\r\n\r\n.\r\n.", "\r\n.\r\n\r\n..x\r\n", "a\r",
		"\r", "a: b\r\n\r"} {
		for i := range len(text) + 1 {
			for j := i; j <= len(text); j++ {
				var b strings.Builder
				w := bufio.NewWriter(&b)
				s := &stuffer{w: w}
				for _, p := range []string{text[:i], text[i:j], text[j:]} {
					s.Write([]byte(p))
				}
				s.finish()
				w.Flush()
				checkStuffed(t, text, b.String())
			}
		}
	}
}

func checkStuffed(t *testing.T, text, got string) {
	t.Helper()
	if !strings.HasSuffix(got, "\r\n.\r\n") && got != ".\r\n" || strings.Contains(strings.TrimSuffix(got, ".\r\n"), "\r\n.\r\n") ||
		strings.HasPrefix(got, ".\r\n") && len(got) > 3 {
		t.Fatalf("%q became %q", text, got)
	}
	body := strings.TrimSuffix(got, ".\r\n")
	var plain strings.Builder
	for line := range strings.Lines(body) {
		plain.WriteString(strings.TrimPrefix(line, "."))
	}
	if !strings.HasPrefix(plain.String(), text) {
		t.Fatalf("%q became %q", text, plain.String())
	}
}

func FuzzPOP3(f *testing.F) {
	f.Add([]byte("CAPA\r\nUSER anna\r\nPASS two words\r\nSTAT\r\nLIST\r\nUIDL\r\nRETR 1\r\nTOP 1 2\r\nDELE 1\r\nRSET\r\nQUIT\r\n"))
	f.Add([]byte("AUTH PLAIN\r\nAGFubmEAdHdvIHdvcmRz\r\nTOP 4 1\r\nLIST 3\r\nNOOP\nQUIT\n"))
	f.Add([]byte("AUTH PLAIN =\r\n\r\nFOO\r\nUSER\r\nPASS \r\n"))
	s := New(Options{SignIn: signIn(&people{}, nil), Hostname: "h", Limits: Limits{Idle: time.Second}})
	s.open = func(context.Context, rookery.AccountID) (maildrop, error) { return newBox(letters...), nil }
	f.Fuzz(func(t *testing.T, input []byte) {
		ours, theirs := net.Pipe()
		c := newConn(s, ours, &listener{})
		c.secure = true // sign-in is allowed
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer ours.Close()
			c.serve(context.Background())
		}()
		go func() {
			theirs.Write(input)
			theirs.Write([]byte("\r\nQUIT\r\nQUIT\r\n"))
		}()
		out, _ := io.ReadAll(theirs)
		theirs.Close()
		<-done
		if !strings.HasPrefix(string(out), "+OK ") || !strings.HasSuffix(string(out), "\r\n") {
			t.Fatalf("%q is answered %q", input, out)
		}
		if strings.Contains(string(out), "Internal error") {
			t.Fatalf("%q panics: %q", input, out)
		}
	})
}
