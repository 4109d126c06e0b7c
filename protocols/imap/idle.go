package imap

import (
	"context"
	"errors"
	"time"

	"rookery/protocols/imap/wire"
)

// idleFamily holds IDLE (RFC 9051 6.3.13).
func idleFamily() family {
	return family{
		commands: []*cmd{lasting(plain("IDLE", signedIn, tellNothing, (*session).runIdle))},
		caps:     caps(anyState, "IDLE"),
	}
}

// runIdle tells changes as they come, until DONE. The watch begins before the
// first look, so that nothing falls between them. There is no timeout: some
// Outlooks get no more mail after a server has hung up. While it waits, the
// session holds neither buffers nor a view.
func (s *session) runIdle(ctx context.Context) error {
	if s.sel != nil && !s.sel.gone {
		stop := s.watch()
		defer stop()
		if err := s.barrier(ctx); err != nil {
			return err
		}
	}
	s.out.Text("+ idling\r\n")
	for {
		if err := s.tell(true); err != nil {
			return err
		}
		err := s.idleWait()
		switch {
		case err == nil:
			return s.idleDone()
		case !errors.Is(err, errRung):
			s.lex.Abandon(err)
			return err
		case s.srv.draining.Load():
			s.lex.Abandon(errRung)
			return errRung
		}
	}
}

// idleWait waits for input or a change and keeps the connection warm.
func (s *session) idleWait() error {
	for {
		err := s.wait(time.Now().Add(s.srv.limits.Keepalive))
		if !errors.Is(err, errTimeout) {
			return err
		}
		s.out.Text("* OK Still here\r\n")
	}
}

// idleDone takes the line that ends IDLE.
func (s *session) idleDone() error {
	s.measure()
	s.lex.Begin(s.srv.limits.Before)
	line := s.lex.Line()
	if err := s.lex.Err(); err != nil {
		return err
	}
	if !wire.Fold(line, "DONE") {
		return bad("IDLE ends with DONE")
	}
	return nil
}

// watch has ring called when the selected mailbox changes, until stop.
func (s *session) watch() (stop func()) {
	w := s.account.Watch(s.sel.id)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-w.C:
				s.ring()
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		w.Close()
	}
}
