package ldap

import (
	"context"
	"errors"
	"fmt"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"rookery"
	"rookery/directory/ldap/result"
)

// try runs fn at the first server that is up and, when that gives no answer,
// at the next ones. Servers that are down are not even tried: their watcher
// brings them back.
func (d *Directory) try(ctx context.Context, fn func(context.Context, *server) error) error {
	d.blink(ctx)
	var errs []error
	for _, s := range d.servers {
		if down := s.down(); down != nil {
			errs = append(errs, fmt.Errorf("%s is down: %w", s.url, down))
			continue
		}
		err := fn(ctx, s)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", s.url, result.Explain(err)))
		if d.ctx.Err() != nil {
			return errors.New("the directory is closed")
		}
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			s.ask() // the caller's time was short, or the server is stuck: a probe tells
		}
		if !result.Elsewhere(ctx, err) {
			break
		}
		s.suspect(err)
	}
	return errors.Join(errs...)
}

// patience is how long a call waits when the last server has only just gone:
// a probe is under way, and often brings it back at once.
const patience = time.Second

func (d *Directory) blink(ctx context.Context) {
	d.mu.Lock()
	revived := d.revived
	d.mu.Unlock()
	now := time.Now()
	fresh := false
	for _, s := range d.servers {
		s.mu.Lock()
		up, age := s.err == nil, now.Sub(s.fell)
		s.mu.Unlock()
		if up {
			return
		}
		fresh = fresh || age < patience
	}
	if !fresh {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-revived:
	case <-timer.C:
	case <-ctx.Done():
	case <-d.ctx.Done():
	}
}

// changed wakes the calls that wait in blink.
func (d *Directory) changed() {
	d.mu.Lock()
	close(d.revived)
	d.revived = make(chan struct{})
	d.mu.Unlock()
}

func (d *Directory) anyServer() (*server, error) {
	var errs []error
	for _, s := range d.servers {
		down := s.down()
		if down == nil {
			return s, nil
		}
		errs = append(errs, fmt.Errorf("%s is down: %w", s.url, down))
	}
	return nil, errors.Join(errs...)
}

// checkPassword binds as the user. KindCredentials and KindDisabled only on a
// server's own word.
func (d *Directory) checkPassword(ctx context.Context, dn, password string) error {
	var verdict error
	err := d.try(ctx, func(ctx context.Context, s *server) error {
		res, err := s.bind(ctx, dn, password)
		var known bool
		if verdict, known = result.Judge(res, err); known {
			return nil
		}
		return err
	})
	if err != nil {
		return rookery.E("check password", rookery.KindUnavailable, err)
	}
	return verdict
}

// pages lists with RFC 2696 paging on a connection of its own, because
// cookies belong to a connection. It goes on over size limits with a warning.
func (s *server) pages(ctx context.Context, req *goldap.SearchRequest, size uint32, fn func(*goldap.Entry) error) error {
	c, err := s.dialService(ctx)
	if err != nil {
		return result.Explain(err)
	}
	defer c.discard()
	stop := context.AfterFunc(ctx, c.discard)
	defer stop()
	paging := goldap.NewControlPaging(size)
	req.Controls = append(req.Controls, paging)
	for {
		res, err := c.Search(req)
		if res != nil {
			for _, e := range res.Entries {
				if err := fn(e); err != nil {
					return err
				}
			}
		}
		if err != nil {
			if goldap.IsErrorWithCode(err, goldap.LDAPResultSizeLimitExceeded) {
				return fmt.Errorf("the server's size limit cuts the listing short: raise it for the service account: %w", err)
			}
			return result.Explain(err)
		}
		next, ok := goldap.FindControl(res.Controls, goldap.ControlTypePaging).(*goldap.ControlPaging)
		if !ok || len(next.Cookie) == 0 {
			return nil
		}
		paging.SetCookie(next.Cookie)
	}
}
