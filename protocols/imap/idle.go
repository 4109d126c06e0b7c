package imap

import (
	"context"
	"errors"
	"time"

	"rookery/protocols/imap/wire"
	"rookery/storage/account"
)

// idleFamily holds IDLE (RFC 9051 6.3.13).
func idleFamily() family {
	return family{
		commands: []*cmd{waiting(plain("IDLE", signedIn, tellNothing, (*session).runIdle))},
		caps:     caps(anyState, "IDLE"),
	}
}

// runIdle begins IDLE; the session's next step is idling. The watch begins
// before the first look, so that nothing falls between them. There is no
// timeout: some Outlooks get no more mail after a server has hung up.
func (s *session) runIdle(ctx context.Context) error {
	w := &account.Watch{} // of nothing
	if s.sel != nil && !s.sel.gone {
		w = s.sel.store.WatchFunc(s.sel.id, s.ring)
		if err := s.barrier(ctx); err != nil {
			w.Close()
			return err
		}
	}
	s.idle = w
	s.out.Text("+ idling\r\n")
	if err := s.tell(true); err != nil {
		s.stopIdle()
		return err
	}
	return errSilent // the tagged reply follows DONE
}

func (s *session) stopIdle() {
	if s.idle != nil {
		s.idle.Close()
		s.idle = nil
	}
}

// idling waits for DONE or a change and keeps the connection warm. While it
// waits, the session holds neither buffers nor a view.
func (s *session) idling() step {
	err := s.wait(time.Now().Add(s.srv.limits.Keepalive))
	switch {
	case err == nil:
		return s.leaveIdle(s.idleDone())
	case errors.Is(err, errTimeout):
		s.out.Text("* OK Still here\r\n")
	case !errors.Is(err, errRung) || s.ending():
		s.farewell(err)
		return nil
	default:
		if err := s.tell(true); err != nil {
			return s.leaveIdle(err)
		}
	}
	if s.out.Flush(); s.bye {
		return nil
	}
	return s.idling
}

// leaveIdle sends IDLE's tagged reply and goes on.
func (s *session) leaveIdle(err error) step {
	s.stopIdle()
	if err := s.answer(err); err != nil {
		s.farewell(err)
		return nil
	}
	return s.commands()
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
