package outbound_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/delivery/spool"
	"rookery/protocols/outbound"
	"rookery/protocols/outbound/session"
	"rookery/storage/account"
	"rookery/storage/account/accounttest"
	"rookery/storage/command"
	"rookery/storage/daykey"
	"rookery/storage/mailbox"
	"rookery/storage/queue"
)

// sink is another system: what it got, and what it answers.
type sink struct {
	mu       sync.Mutex
	mail     []received
	answers  map[string]error // by recipient, or "DATA"
	sessions int
	// arrives is called with each message before it is answered; its error is the
	// answer.
	arrives func() error
	addr    netip.AddrPort
}

type received struct {
	from, text string
	to         []string
}

func newSink(t *testing.T) *sink { return newTLSSink(t, nil) }

// newTLSSink is a sink that offers STARTTLS.
func newTLSSink(t *testing.T, config *tls.Config) *sink {
	s := &sink{answers: map[string]error{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(s)
	server.Domain, server.EnableDSN, server.EnableSMTPUTF8 = "sink.example", true, true
	server.ErrorLog, server.TLSConfig = discard{}, config
	s.addr = netip.MustParseAddrPort(l.Addr().String())
	done := make(chan struct{})
	go func() { server.Serve(l); close(done) }()
	t.Cleanup(func() { server.Close(); <-done })
	return s
}

type discard struct{}

func (discard) Printf(string, ...any) {}
func (discard) Println(...any)        {}

// NewSession implements smtp.Backend.
func (s *sink) NewSession(*smtp.Conn) (smtp.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions++
	return &sunk{s: s}, s.answers["HELLO"]
}

type sunk struct {
	s *sink
	received
}

func (c *sunk) Mail(from string, _ *smtp.MailOptions) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.received = received{from: from}
	return c.s.answers["MAIL"]
}

func (c *sunk) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if err := c.s.answers[to]; err != nil {
		return err
	}
	c.to = append(c.to, to)
	return nil
}

func (c *sunk) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if c.s.arrives != nil {
		if err := c.s.arrives(); err != nil {
			return err
		}
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if err := c.s.answers["DATA"]; err != nil {
		return err
	}
	c.text = string(b)
	c.s.mail = append(c.s.mail, c.received)
	return nil
}

func (c *sunk) Reset()        { c.received = received{} }
func (c *sunk) Logout() error { return nil }

func (s *sink) got() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.mail...)
}

func (s *sink) answer(to string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[to] = err
}

// rig is a node's queue with couriers, and the systems around it.
type rig struct {
	t     *testing.T
	n     *accounttest.Node
	d     *delivery.Deliverer
	days  *daykey.Store
	o     outbound.Options
	c     *outbound.Couriers
	hosts map[string][]outbound.Host // of domains and configured hops
	set   outbound.Settings
	users map[string]*account.Account

	mu  sync.Mutex
	now time.Time
}

func newRig(t *testing.T, change func(*rig)) *rig {
	r := &rig{t: t, hosts: map[string][]outbound.Host{}, users: map[string]*account.Account{}, now: time.Now()}
	hear := func(g rookery.GroupID, rows []queue.Due) {
		if r.d != nil {
			r.d.Queued(g, rows)
		}
		if r.c != nil {
			r.c.Queued(g, rows)
		}
	}
	r.n = accounttest.Open(t, accounttest.Options{Queued: hear, Clock: r.clock})
	r.days = daykey.New(daykey.Options{Log: r.n, Machine: r.n.Machine, Keys: r.n.Keys, Clock: r.clock})
	r.d = delivery.New(delivery.Options{Accounts: r.n.Store, Log: r.n, Machine: r.n.Machine, ReadBody: r.n.Bodies.ReadAt, Days: r.days,
		Groups: r.groups, Node: "n1", Epoch: 1, TempDir: t.TempDir(), Clock: r.clock})
	r.set = outbound.Settings{Connections: 5, Schedule: outbound.Schedule{First: time.Minute, Most: time.Hour, Expire: 5 * 24 * time.Hour,
		Notice: 4 * time.Hour}}
	r.o = outbound.Options{Self: command.Courier{Node: "n1", Epoch: 1}, Hostname: "mail.example.com", Groups: r.groups, Machine: r.n.Machine,
		Leader: func(rookery.GroupID) bool { return true }, Gone: func(command.Courier) bool { return false }, Log: r.n, Days: r.days,
		Bodies: r.n.Bodies.Open, Settings: func() outbound.Settings { return r.set }, Filer: r.d, Router: r,
		Connect: &outbound.Hosts{Find: r, Hello: "mail.example.com", Clock: r.clock}, Clock: r.clock,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if change != nil {
		change(r)
	}
	r.c = outbound.New(r.o)
	return r
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

func (r *rig) groups() []rookery.GroupID { return r.n.Groups }

// run runs the couriers and the deliverer until the test or stop ends them.
func (r *rig) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.c.Run(ctx) })
	wg.Go(func() { r.d.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	r.t.Cleanup(stop)
	return stop
}

// Find implements outbound.Finder.
func (r *rig) Find(_ context.Context, hop outbound.Hop) ([]outbound.Host, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.hosts[hop.Name]; ok {
		return p, nil
	}
	return nil, rookery.E("find hosts", rookery.KindNotFound, errors.New("there is no such domain"))
}

func (r *rig) at(name string, s *sink) {
	r.hosts[name] = []outbound.Host{{Peer: session.Peer{Name: "mx." + name, Addr: s.addr}}}
}

// rehost is at while couriers run.
func (r *rig) rehost(name string, s *sink) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at(name, s)
}

// Route implements outbound.Router.
func (r *rig) Route(_ context.Context, a rookery.Address) (delivery.Route, error) {
	u := r.users[a.String()]
	switch {
	case u != nil:
		return delivery.Route{To: delivery.Local, Address: a, Account: u.ID()}, nil
	case a.Domain == "example.com":
		return delivery.Route{}, rookery.E("route", rookery.KindNotFound, errors.New("no such user"))
	}
	return delivery.Route{To: delivery.Remote, Address: a}, nil
}

// user makes an account in a group.
func (r *rig) user(name string, group rookery.GroupID) *account.Account {
	for i := 0; ; i++ {
		a := r.n.Account(r.t, name+strings.Repeat("x", i))
		if a.Group() == group {
			r.users[name+"@example.com"] = a
			return a
		}
	}
}

func addr(t *testing.T, s string) rookery.Address {
	t.Helper()
	a, err := rookery.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const letter = "Subject: letter\r\nMessage-ID: <1@example.com>\r\n\r\nDear all\r\n.dot\r\n"

// send has a user send a letter.
func (r *rig) send(from string, to ...string) {
	r.t.Helper()
	var remote []delivery.RemoteRecipient
	for _, a := range to {
		remote = append(remote, delivery.RemoteRecipient{Address: addr(r.t, a)})
	}
	r.request(delivery.Request{From: from, Remote: remote}, letter)
}

func (r *rig) request(req delivery.Request, text string) {
	r.t.Helper()
	req.Spool = r.d.Spool(spool.Normalise, 0)
	defer req.Spool.Close()
	req.Spool.Write([]byte(text))
	if err := req.Spool.Finish(); err != nil {
		r.t.Fatal(err)
	}
	if u := r.users[req.From]; u != nil {
		req.Sender = u.ID()
	}
	req.Trace = []byte("Return-Path: <" + req.From + ">\r\nReceived: from a client\r\n")
	if err := r.d.Deliver(r.t.Context(), req); err != nil {
		r.t.Fatal(err)
	}
}

// inbox reads all messages of an account's INBOX.
func (r *rig) inbox(a *account.Account) (all []string) {
	v, err := a.View()
	if err != nil {
		r.t.Fatal(err)
	}
	defer v.Close()
	err = v.Rows(mailbox.Inbox, 1, math.MaxUint32, func(row mailbox.Row) bool {
		e, err := v.Email(row.Email)
		if err != nil {
			r.t.Fatal(err)
		}
		b, err := a.Body(r.t.Context(), v, e)
		if err != nil {
			r.t.Fatal(err)
		}
		p := make([]byte, b.Size())
		if _, err := b.ReadAt(r.t.Context(), p, 0); err != nil && err != io.EOF {
			r.t.Fatal(err)
		}
		all = append(all, string(p))
		return true
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// owed counts the open items.
func (r *rig) owed() (n int) {
	for _, g := range r.n.Groups {
		items, err := r.n.Machine(g).OpenItems(command.ItemID{}, 1<<20)
		if err != nil {
			r.t.Fatal(err)
		}
		n += len(items)
	}
	return n
}

// eventually waits until ok, for a while; the clock moves on by step meanwhile.
func (r *rig) eventually(what string, step time.Duration, ok func() bool) {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(2 * time.Minute)
	for !ok() {
		select {
		case <-tick.C:
			r.pass(step)
		case <-late:
			r.t.Fatal(what, "does not come about")
		}
	}
}
