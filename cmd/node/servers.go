package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/directory"
	"rookery/protocols/delivery"
	"rookery/protocols/imap"
	"rookery/protocols/listen"
	"rookery/protocols/policy"
	"rookery/protocols/pop3"
	"rookery/protocols/proxy"
	"rookery/protocols/signin"
	"rookery/protocols/smtp"
	"rookery/storage/account"
)

// servers are the protocols of a node and what they listen on.
type servers struct {
	signIn *signin.Authenticator
	smtp   *smtp.Server
	imap   *imap.Server
	pop3   *pop3.Server
	logger *slog.Logger

	listeners []*listen.Listener
	cancel    context.CancelFunc
	wg        sync.WaitGroup
}

// edge is what the protocols are made of.
type edge struct {
	cfg      settings.Node
	people   *people
	accounts *account.Store
	nodes    proxy.Nodes
	deliver  *delivery.Deliverer
	cert     *certificate
	live     *live
	logger   *slog.Logger
	clock    func() time.Time
	metrics  *metrics
	// signedIn hears of each sign-in.
	signedIn func(protocol string, e directory.Entry)
}

func newServers(e edge) *servers {
	s, set := &servers{logger: e.logger}, e.live
	s.signIn = signin.New(signin.Options{
		Directory: e.people, Accounts: e.accounts, Nodes: e.nodes, DefaultQuota: set.quota, SignedIn: e.signedIn, Logger: e.logger, Clock: e.clock,
	})
	s.smtp = smtp.New(smtp.Options{
		SignIn: s.signIn, Deliver: e.deliver, TLS: e.cert.tlsConfig(), Hostname: e.cfg.Hostname,
		Router:     &delivery.Router{Directory: e.people, Accounts: e.accounts, Postmaster: set.postmaster, DefaultQuota: set.quota},
		Postmaster: set.postmaster, Recipients: set.recipients,
		Policy: policy.New(policy.Options{Hostname: e.cfg.Hostname, CheckSender: set.checkSender, Clock: e.clock}),
		Logger: e.logger, Clock: e.clock, Observe: e.metrics.smtpCommand,
	})
	s.imap = imap.New(imap.Options{
		SignIn: s.signIn, Accounts: e.accounts, Deliver: e.deliver, TLS: e.cert.tlsConfig(), Hostname: e.cfg.Hostname,
		Logger: e.logger, Clock: e.clock, Observe: e.metrics.imapCommand,
		SessionsPerUser: set.sessionsPerUser,
	})
	s.pop3 = pop3.New(pop3.Options{
		SignIn: s.signIn, Accounts: e.accounts, TLS: e.cert.tlsConfig(), Hostname: e.cfg.Hostname,
		Logger: e.logger, Observe: e.metrics.pop3Command,
	})
	return s
}

// start opens all listeners, then serves on them: a port that is taken ends
// the start before anybody was served.
func (s *servers) start(cfg settings.Node, network Network, limits func() settings.Limits) error {
	var trusted []netip.Prefix
	for _, p := range cfg.TrustedProxies {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			return rookery.E("listen", rookery.KindInvalid, err)
		}
		trusted = append(trusted, prefix)
	}
	serve := map[string]func(context.Context, net.Listener) error{
		"smtp":        func(ctx context.Context, l net.Listener) error { return s.smtp.Serve(ctx, l, smtp.MX) },
		"submission":  func(ctx context.Context, l net.Listener) error { return s.smtp.Serve(ctx, l, smtp.Submission) },
		"submissions": func(ctx context.Context, l net.Listener) error { return s.smtp.Serve(ctx, l, smtp.Submissions) },
		"imap":        func(ctx context.Context, l net.Listener) error { return s.imap.Serve(ctx, l, imap.Mode{}) },
		"imaps":       func(ctx context.Context, l net.Listener) error { return s.imap.Serve(ctx, l, imap.Mode{TLS: true}) },
		"pop3":        func(ctx context.Context, l net.Listener) error { return s.pop3.Serve(ctx, l, pop3.STLS) },
		"pop3s":       func(ctx context.Context, l net.Listener) error { return s.pop3.Serve(ctx, l, pop3.TLS) },
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	bounds := func() listen.Limits {
		return listen.Limits{Connections: limits().Connections, PerClient: limits().ConnectionsPerAddress}
	}
	// What a client above the limits is told, where it needs no TLS to hear it.
	const busy = "has too many connections; try again later\r\n"
	smtpBusy := "421 4.7.0 " + cfg.Hostname + " " + busy
	refusals := map[string]string{
		"smtp": smtpBusy, "submission": smtpBusy,
		"imap": "* BYE [UNAVAILABLE] The server " + busy, "pop3": "-ERR [SYS/TEMP] The server " + busy,
	}
	var run []func()
	for _, l := range cfg.Listen.Mail() {
		for _, addr := range l.Addrs {
			ln, err := listen.Open(ctx, listen.Options{
				Name: l.Name, Addr: addr, Listen: network.Listen, TrustedProxies: trusted,
				Limits: bounds, Refusal: refusals[l.Name], Logger: s.logger,
			})
			if err != nil {
				return err
			}
			s.listeners = append(s.listeners, ln)
			run = append(run, func() {
				if err := serve[l.Name](ctx, ln); err != nil && !errors.Is(err, net.ErrClosed) && ctx.Err() == nil {
					s.logger.Error("listener ended", "listener", l.Name, "address", addr, "error", err)
				}
			})
		}
	}
	for _, fn := range run {
		s.wg.Go(fn)
	}
	return nil
}

// addrs are the addresses listened on, by listener.
func (s *servers) addrs() map[string][]string {
	m := map[string][]string{}
	for _, l := range s.listeners {
		m[l.Name()] = append(m[l.Name()], l.Listener.Addr().String())
	}
	return m
}

// drain stops accepting, tells idle clients, and lets running commands finish
// until ctx ends.
func (s *servers) drain(ctx context.Context) error {
	for _, l := range s.listeners {
		l.Close()
	}
	s.signIn.EndDelays()
	errs := make([]error, 3)
	var wg sync.WaitGroup
	wg.Go(func() { errs[0] = s.smtp.Shutdown(ctx) })
	wg.Go(func() { errs[1] = s.imap.Shutdown(ctx) })
	wg.Go(func() { errs[2] = s.pop3.Shutdown(ctx) })
	wg.Wait()
	if s.cancel != nil {
		s.cancel()
	}
	s.wg.Wait()
	for _, l := range s.listeners {
		l.Wait()
	}
	return errors.Join(errs...)
}
