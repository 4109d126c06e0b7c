package edge

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"rookery"
	"rookery/protocols/imap"
	"rookery/protocols/listen"
	"rookery/protocols/pop3"
	"rookery/protocols/smtp"
)

// Start takes sessions from other nodes, opens all listeners, then serves on
// them: a port that is taken ends the start before any client was served.
func (e *Edge) Start() error {
	e.handover.serve()
	return e.listen()
}

func (e *Edge) listen() error {
	cfg := &e.o.Config
	var trusted []netip.Prefix
	for _, p := range cfg.TrustedProxies {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			return rookery.E("listen", rookery.KindInvalid, err)
		}
		trusted = append(trusted, prefix)
	}
	serve := map[string]func(context.Context, net.Listener) error{
		"smtp":        func(ctx context.Context, l net.Listener) error { return e.smtp.Serve(ctx, l, smtp.MX) },
		"submission":  func(ctx context.Context, l net.Listener) error { return e.smtp.Serve(ctx, l, smtp.Submission) },
		"submissions": func(ctx context.Context, l net.Listener) error { return e.smtp.Serve(ctx, l, smtp.Submissions) },
		"relay":       func(ctx context.Context, l net.Listener) error { return e.smtp.Serve(ctx, l, smtp.Relay) },
		"imap":        func(ctx context.Context, l net.Listener) error { return e.imap.Serve(ctx, l, imap.Mode{}) },
		"imaps":       func(ctx context.Context, l net.Listener) error { return e.imap.Serve(ctx, l, imap.Mode{TLS: true}) },
		"pop3":        func(ctx context.Context, l net.Listener) error { return e.pop3.Serve(ctx, l, pop3.STLS) },
		"pop3s":       func(ctx context.Context, l net.Listener) error { return e.pop3.Serve(ctx, l, pop3.TLS) },
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	bounds := func() listen.Limits {
		return listen.Limits{Connections: e.o.Settings.Limits().Connections, PerClient: e.o.Settings.Limits().ConnectionsPerAddress}
	}
	// What a client above the limits is told, where it needs no TLS to hear it.
	const busy = "has too many connections; try again later\r\n"
	smtpBusy := "421 4.7.0 " + cfg.Hostname + " " + busy
	refusals := map[string]string{
		"smtp": smtpBusy, "submission": smtpBusy, "relay": smtpBusy,
		"imap": "* BYE [UNAVAILABLE] The server " + busy, "pop3": "-ERR [SYS/TEMP] The server " + busy,
	}
	var run []func()
	for _, l := range cfg.Listen.Mail() {
		for _, addr := range l.Addrs {
			ln, err := listen.Open(ctx, listen.Options{
				Name: l.Name, Addr: addr, Listen: e.o.Listen, TrustedProxies: trusted,
				Limits: bounds, Refusal: refusals[l.Name], Logger: e.o.Logger,
			})
			if err != nil {
				return err
			}
			e.listeners = append(e.listeners, ln)
			run = append(run, func() {
				if err := serve[l.Name](ctx, ln); err != nil && !errors.Is(err, net.ErrClosed) && ctx.Err() == nil {
					e.o.Logger.Error("listener ended", "listener", l.Name, "address", addr, "error", err)
				}
			})
		}
	}
	for _, fn := range run {
		e.wg.Go(fn)
	}
	e.serving.Store(true)
	return nil
}

// Addrs are the addresses listened on, by listener.
func (e *Edge) Addrs() map[string][]string {
	m := map[string][]string{}
	for _, l := range e.listeners {
		m[l.Name()] = append(m[l.Name()], l.Listener.Addr().String())
	}
	return m
}

// Drain stops accepting, tells idle clients, and lets running commands finish
// until ctx ends.
func (e *Edge) Drain(ctx context.Context) error {
	for _, l := range e.listeners {
		l.Close()
	}
	e.signIn.EndDelays()
	e.Relays.SignIns().EndDelays()
	errs := make([]error, 3)
	var wg sync.WaitGroup
	wg.Go(func() { errs[0] = e.smtp.Shutdown(ctx) })
	wg.Go(func() { errs[1] = e.imap.Shutdown(ctx) })
	wg.Go(func() { errs[2] = e.pop3.Shutdown(ctx) })
	wg.Wait()
	if e.cancel != nil {
		e.cancel()
	}
	e.wg.Wait()
	for _, l := range e.listeners {
		l.Wait()
	}
	return errors.Join(errs...)
}
