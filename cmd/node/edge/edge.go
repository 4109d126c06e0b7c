package edge

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"rookery"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/replicas"
	"rookery/cmd/node/settings"
	"rookery/directory"
	"rookery/protocols/delivery"
	"rookery/protocols/imap"
	"rookery/protocols/listen"
	"rookery/protocols/policy"
	"rookery/protocols/pop3"
	"rookery/protocols/relay"
	"rookery/protocols/signin"
	"rookery/protocols/smtp"
	"rookery/storage/account"
)

// Settings are those in force: each is asked for whenever it is needed, so that
// a change counts from the next command on.
type Settings interface {
	Limits() settings.Limits
	Postmaster() rookery.Address
	CatchAll(domain string) rookery.Address
	Relay() settings.Relay
}

// Observer hears of every command of a client.
type Observer interface {
	SMTPCommand(name string, code int, took time.Duration)
	IMAPCommand(name, status string, took time.Duration)
	POP3Command(name string, ok bool, took time.Duration)
}

// Directory says who exists, and who may sign in.
type Directory interface {
	delivery.Lists
	directory.Directory
	directory.Finder
}

// Options are what the protocols are made of.
type Options struct {
	// Config is the node's file: listeners, certificate, host name, proxies.
	Config   settings.Node
	Self     rookery.NodeID
	Settings Settings
	// Listen opens the listeners.
	Listen    func(ctx context.Context, network, address string) (net.Listener, error)
	Directory Directory
	Accounts  *account.Store
	Deliver   *delivery.Deliverer
	// SRSKeys are those under which senders of forwarded mail are rewritten.
	SRSKeys func() [][]byte
	// Credential gives the relay credential of a name.
	Credential func(name string) (relay.Credential, bool, error)
	Replicas   *replicas.Replicas
	Peers      *peers.Peers
	// Alive says which nodes live, Full that no mail group is to run here.
	Alive    func(rookery.NodeID) bool
	Full     func() bool
	Observer Observer
	Logger   *slog.Logger
	Clock    func() time.Time
}

// Edge is the protocols of a node and what they listen on.
type Edge struct {
	// SignIns are the last ones on this node.
	SignIns *SignIns
	// Router says where mail for an address goes.
	Router *delivery.Router
	// Relays says who may send through the relay listener.
	Relays *relay.Gate

	o           Options
	certificate *certificate
	handover    *handover
	signIn      *signin.Authenticator
	smtp        *smtp.Server
	imap        *imap.Server
	pop3        *pop3.Server

	listeners []*listen.Listener
	serving   atomic.Bool // when its listeners are open
	cancel    context.CancelFunc
	wg        sync.WaitGroup
}

// New reads the certificate and makes the protocols. Nobody is served before
// Start.
func New(o Options) (*Edge, error) {
	cert, err := openCertificate(o.Config.TLS, o.Logger)
	if err != nil {
		return nil, err
	}
	e := &Edge{o: o, certificate: cert, SignIns: newSignIns(o)}
	e.handover = &handover{edge: e, slots: make(chan struct{}, opening), open: map[*tunnel]struct{}{}}
	quota := func() int64 { return int64(o.Settings.Limits().Quota) }
	e.signIn = signin.New(signin.Options{
		Directory: o.Directory, Accounts: o.Accounts, Nodes: e.handover, DefaultQuota: quota, SignedIn: e.SignIns.saw, Logger: o.Logger,
		Clock: o.Clock,
	})
	e.Router = &delivery.Router{Directory: o.Directory, Accounts: o.Accounts, Postmaster: o.Settings.Postmaster,
		CatchAll: o.Settings.CatchAll, DefaultQuota: quota, Lists: o.Directory,
		SRSKeys: o.SRSKeys, Own: own, Clock: o.Clock}
	e.Relays = relay.New(relay.Options{
		Rules: func() relay.Rules { set := o.Settings.Relay(); return set.Rules() }, Local: o.Directory.Local,
		Credential: o.Credential, Logger: o.Logger, Clock: o.Clock,
	})
	e.smtp = smtp.New(smtp.Options{
		SignIn: e.signIn, Deliver: o.Deliver, TLS: cert.tlsConfig(), Hostname: o.Config.Hostname,
		Router: e.Router, Relays: e.Relays, RelayTLS: cert.relayTLS(func() bool { return o.Settings.Relay().OldTLS }),
		Postmaster: o.Settings.Postmaster, Recipients: func() int { return o.Settings.Limits().Recipients },
		Policy: policy.New(policy.Options{Hostname: o.Config.Hostname,
			CheckSender: func() bool { return o.Settings.Limits().CheckSender }, Clock: o.Clock}),
		Logger: o.Logger, Clock: o.Clock, Observe: o.Observer.SMTPCommand,
	})
	e.imap = imap.New(imap.Options{
		SignIn: e.signIn, Accounts: o.Accounts, Deliver: o.Deliver, TLS: cert.tlsConfig(), Hostname: o.Config.Hostname,
		Logger: o.Logger, Clock: o.Clock, Observe: o.Observer.IMAPCommand,
		SessionsPerUser: func() int { return o.Settings.Limits().SessionsPerUser },
	})
	e.pop3 = pop3.New(pop3.Options{
		SignIn: e.signIn, Accounts: o.Accounts, TLS: cert.tlsConfig(), Hostname: o.Config.Hostname,
		Logger: o.Logger, Observe: o.Observer.POP3Command,
	})
	return e, nil
}

// Run ends sessions that silent nodes serve, and notes sign-ins, until ctx ends.
func (e *Edge) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { e.handover.watch(ctx) })
	wg.Go(func() { e.SignIns.run(ctx) })
	wg.Wait()
	return nil
}

// End ends the sessions here of accounts in these groups.
func (e *Edge) End(left map[rookery.GroupID]bool) {
	if len(left) == 0 {
		return
	}
	gone := func(id rookery.AccountID) bool {
		place, err := e.o.Replicas.System().Account(id)
		return err == nil && left[place.Group]
	}
	e.imap.Leave(gone)
	e.pop3.Leave(gone)
}

// Listeners are those of the clients, none before they are all open.
func (e *Edge) Listeners() []*listen.Listener {
	if !e.serving.Load() {
		return nil
	}
	return e.listeners
}

// Sessions counts the clients' connections.
func (e *Edge) Sessions() (count int) {
	for _, l := range e.Listeners() {
		count += l.Stats().Open
	}
	return count
}

// Serving reports whether all listeners for clients are open.
func (e *Edge) Serving() bool { return e.serving.Load() }

// CertificateEnd is when the certificate in use ends.
func (e *Edge) CertificateEnd() (time.Time, bool) { return e.certificate.ends() }
