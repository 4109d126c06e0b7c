package imap

import (
	"bufio"
	"context"
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
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
	"rookery/directory"
	"rookery/protocols/delivery"
	"rookery/protocols/delivery/spool"
	"rookery/protocols/signin"
	"rookery/storage/account"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
	"rookery/storage/pack/read"
	"rookery/storage/state"
	"rookery/storage/system"
	"rookery/storage/uidset"
)

// directLog is agreement without a cluster: commands apply at once, in order.
type directLog struct {
	mu      sync.Mutex
	groups  map[rookery.GroupID]*directGroup
	away    atomic.Bool // no quorum
	stuck   atomic.Bool // nobody answers
	entries sync.Map    // position to entry
	applies atomic.Int64
	barrier atomic.Int64
}

type directGroup struct {
	state    *state.Group
	proposer *state.Proposer
	index    rookery.LogIndex
}

type position struct {
	group rookery.GroupID
	index rookery.LogIndex
}

func (l *directLog) Apply(ctx context.Context, id rookery.GroupID, cmd []byte) (rookery.LogIndex, []byte, error) {
	if l.away.Load() {
		return 0, nil, rookery.E("apply", rookery.KindUnavailable, io.ErrClosedPipe)
	}
	if l.stuck.Load() {
		<-ctx.Done()
		return 0, nil, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.applies.Add(1)
	g := l.groups[id]
	h, done, err := g.proposer.Next(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer done()
	g.index++
	data := state.Wrap(h, cmd)
	l.entries.Store(position{id, g.index}, data)
	return g.index, g.state.Apply([]rookery.Entry{{Index: g.index, Term: 1, Data: data}})[0], nil
}

func (l *directLog) Barrier(context.Context, rookery.GroupID) error {
	if l.away.Load() {
		return rookery.E("barrier", rookery.KindUnavailable, io.ErrClosedPipe)
	}
	l.barrier.Add(1)
	return nil
}

func (l *directLog) Wait(context.Context, rookery.GroupID, rookery.LogIndex) error { return nil }

func (l *directLog) read(_ context.Context, g rookery.GroupID, index rookery.LogIndex, _ uint64, p []byte, off int64) error {
	e, ok := l.entries.Load(position{g, index})
	if !ok || off+int64(len(p)) > int64(len(e.([]byte))) {
		return rookery.E("read log", rookery.KindNotFound, io.EOF)
	}
	copy(p, e.([]byte)[off:])
	return nil
}

// people is a directory of users whose password is "secret".
type people struct {
	down atomic.Bool
}

func (p *people) Local(string) bool { return true }

func (p *people) Recipient(context.Context, rookery.Address) (directory.Entry, error) {
	return directory.Entry{}, rookery.E("find", rookery.KindNotFound, io.EOF)
}

func (p *people) Authenticate(_ context.Context, login, password string) (directory.Entry, error) {
	switch {
	case p.down.Load():
		return directory.Entry{}, rookery.E("bind", rookery.KindUnavailable, io.EOF)
	case login == "disabled":
		return directory.Entry{}, rookery.E("bind", rookery.KindDisabled, io.EOF)
	case password != "secret":
		return directory.Entry{}, rookery.E("bind", rookery.KindCredentials, io.EOF)
	}
	return directory.Entry{Key: "test/" + login, Login: login}, nil
}

// stack is the real storage below a Server.
type stack struct {
	t       testing.TB
	log     *directLog
	people  *people
	store   *account.Store
	server  *Server
	deliver *delivery.Deliverer
	tls     *tls.Config
}

const mailGroup rookery.GroupID = 2

// events reach the account store, which is made after the machines.
type events struct{ store atomic.Pointer[account.Store] }

func (e *events) Changed(a rookery.AccountID, m rookery.MailboxID, s rookery.ModSeq) {
	if store := e.store.Load(); store != nil {
		store.Changed(a, m, s)
	}
}
func (e *events) Unpacked(mailbox.BodyID, int64) {}

func newStack(t testing.TB, tune ...func(*Options)) *stack {
	t.Helper()
	return newStackSigning(t, signin.Options{}, tune...)
}

// newStackSigning is newStack whose sign-ins are set by how.
func newStackSigning(t testing.TB, how signin.Options, tune ...func(*Options)) *stack {
	t.Helper()
	db, err := state.Open("state", vfs.NewMem(), state.Options{CacheBytes: 8 << 20, MemTableBytes: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	ev := &events{}
	log := &directLog{groups: map[rookery.GroupID]*directGroup{}}
	add := func(id rookery.GroupID, make func(*state.Group) state.Machine) state.Machine {
		g, err := db.Group(id, make)
		if err != nil {
			t.Fatal(err)
		}
		log.groups[id] = &directGroup{state: g, proposer: state.NewProposer("n1", 1, time.Now)}
		return g.Machine()
	}
	boxes := add(mailGroup, func(g *state.Group) state.Machine { return mailbox.New(ev)(g) }).(*mailbox.Machine)
	sys := add(rookery.SystemGroup, func(g *state.Group) state.Machine { return system.New(nil)(g) }).(*system.Machine)
	machine := func(id rookery.GroupID) *mailbox.Machine {
		if id == mailGroup {
			return boxes
		}
		return nil
	}
	keys := keys.GenerateKeyring()
	s := &stack{t: t, log: log, people: &people{}, tls: testTLS(t)}
	s.store = account.New(account.Options{
		Log: log, Machine: machine, System: sys, Keys: keys, Groups: func() []rookery.GroupID { return []rookery.GroupID{mailGroup} },
		Bodies: read.New(read.Options{Log: log.read}),
	})
	ev.store.Store(s.store)
	s.deliver = delivery.New(delivery.Options{
		Accounts: s.store, Log: log, Machine: machine, Groups: func() []rookery.GroupID { return []rookery.GroupID{mailGroup} },
		Node: "n1", TempDir: t.TempDir(),
	})
	how.Directory, how.Accounts, how.Limits.Delay = s.people, s.store, time.Millisecond
	o := Options{SignIn: signin.New(how), Accounts: s.store, Deliver: s.deliver, TLS: s.tls, Hostname: "mail.example.org"}
	for _, f := range tune {
		f(&o)
	}
	s.server = New(o)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.server.Shutdown(ctx)
	})
	return s
}

func testTLS(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example.org"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"mail.example.org"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// account opens an account of the stack, making it if need be.
func (s *stack) account(login string) *account.Account {
	s.t.Helper()
	id, err := s.store.Ensure(context.Background(), rookery.Owner{Key: "test/" + login}, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	a, err := s.store.Open(context.Background(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// file appends a message to a mailbox without the protocol.
func (s *stack) file(login, name, text string) {
	s.t.Helper()
	a := s.account(login)
	v, err := a.View()
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := v.ByName(name)
	v.Close()
	if err != nil {
		s.t.Fatal(err)
	}
	spool := s.deliver.Spool(spool.Normalise, 0)
	defer spool.Close()
	io.WriteString(spool, text)
	if err := spool.Finish(); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.deliver.Append(context.Background(), a, m.ID, 0, nil, time.Time{}, spool); err != nil {
		s.t.Fatal(err)
	}
}

// client is a client that speaks lines.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	n    int
}

// dial connects over loopback; secure does so under TLS.
func (s *stack) dial(secure bool) *client {
	s.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	go s.server.Serve(context.Background(), ln, Mode{TLS: secure})
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	if secure {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	}
	s.t.Cleanup(func() { conn.Close(); ln.Close() })
	c := newClient(s.t, conn)
	c.line()
	return c
}

func newClient(t testing.TB, conn net.Conn) *client {
	conn.SetDeadline(time.Now().Add(3 * time.Minute))
	return &client{t: t, conn: conn, r: bufio.NewReader(conn)}
}

// signIn gives a client that has signed in.
func (s *stack) signIn(login string) *client {
	s.t.Helper()
	c := s.dial(true)
	c.ok("LOGIN " + login + " secret")
	return c
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatalf("send %.60q: %v", s, err)
	}
}

// line is one response with its literals, without the last CRLF.
func (c *client) line() string {
	c.t.Helper()
	s, err := c.readLine()
	if err != nil {
		c.t.Fatalf("read: %v (after %q)", err, s)
	}
	return s
}

func (c *client) readLine() (string, error) {
	var b strings.Builder
	for {
		s, err := c.r.ReadString('\n')
		b.WriteString(strings.TrimSuffix(s, "\r\n"))
		if err != nil {
			return b.String(), err
		}
		open := strings.LastIndexByte(s, '{')
		var n int
		if open < 0 || !strings.HasSuffix(s, "}\r\n") {
			return b.String(), nil
		}
		if _, err := fmt.Sscanf(s[open:], "{%d}", &n); err != nil {
			return b.String(), nil
		}
		b.WriteString("\r\n")
		if _, err := io.CopyN(&b, c.r, int64(n)); err != nil {
			return b.String(), err
		}
	}
}

// do sends a command and gives its untagged responses and the tagged one
// without its tag.
func (c *client) do(command string) (untagged []string, tagged string) {
	c.t.Helper()
	c.n++
	tag := fmt.Sprintf("t%d", c.n)
	c.send(tag + " " + command + "\r\n")
	return c.until(tag)
}

func (c *client) until(tag string) (untagged []string, tagged string) {
	c.t.Helper()
	for {
		l := c.line()
		if rest, ok := strings.CutPrefix(l, tag+" "); ok {
			return untagged, rest
		}
		untagged = append(untagged, l)
	}
}

// ok is do for a command that succeeds.
func (c *client) ok(command string) string {
	c.t.Helper()
	untagged, tagged := c.do(command)
	if !strings.HasPrefix(tagged, "OK ") {
		c.t.Fatalf("%s: %s", command, tagged)
	}
	return strings.Join(append(untagged, tagged), "\n")
}

// fails is do for a command whose tagged response begins so.
func (c *client) fails(command, prefix string) string {
	c.t.Helper()
	untagged, tagged := c.do(command)
	if !strings.HasPrefix(tagged, prefix) {
		c.t.Fatalf("%s: %s, want %s", command, tagged, prefix)
	}
	return strings.Join(append(untagged, tagged), "\n")
}

// append files a message through the protocol.
func (c *client) append(name, args, text string) string {
	c.t.Helper()
	c.n++
	tag := fmt.Sprintf("t%d", c.n)
	if args != "" {
		args += " "
	}
	c.send(fmt.Sprintf("%s APPEND %s %s{%d}\r\n", tag, name, args, len(text)))
	if l := c.line(); !strings.HasPrefix(l, "+ ") {
		return l
	}
	c.send(text + "\r\n")
	_, tagged := c.until(tag)
	return tagged
}

// closed expects the server to close the connection.
func (c *client) closed() {
	c.t.Helper()
	for {
		if _, err := c.readLine(); err != nil {
			return
		}
	}
}

// has checks that each part is in the text.
func has(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing in:\n%s", p, text)
		}
	}
}

// lacks checks that no part is in the text.
func lacks(t testing.TB, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if strings.Contains(text, p) {
			t.Errorf("%q should not be in:\n%s", p, text)
		}
	}
}

const hello = "From: Ann <ann@example.org>\r\nTo: Bob <bob@example.org>\r\nSubject: Hello\r\n" +
	"Date: Mon, 2 Mar 2026 10:00:00 +0100\r\nMessage-ID: <1@example.org>\r\n\r\nHello Bob,\r\nthis is a test.\r\n"

// fill copies one message until the mailbox holds n.
func (s *stack) fill(login string, n int) {
	s.t.Helper()
	s.file(login, "INBOX", hello)
	a := s.account(login)
	for have := 1; have < n; {
		add := min(have, n-have, 1000)
		_, _, err := a.Copy(context.Background(), command.Copy{From: mailbox.Inbox, To: mailbox.Inbox, UIDs: uidset.Range(1, rookery.UID(add))})
		if err != nil {
			s.t.Fatal(err)
		}
		have += add
	}
}

// live runs a whole session on this goroutine.
func (s *session) live() {
	for st := step(s.begin); st != nil; {
		st = s.take(st)
	}
	s.end()
}
