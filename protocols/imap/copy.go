package imap

import (
	"context"
	"strconv"

	"rookery"
	"rookery/protocols/imap/wire"
	"rookery/storage/command"
	"rookery/storage/uidset"
)

// copyFamily holds COPY and MOVE with their UID forms (RFC 9051 6.4.7, 6.4.8).
func copyFamily() family {
	one := func(name string, view viewRule, move, byUID bool) *cmd {
		return define(name, selectedState, view, parseCopy, func(s *session, ctx context.Context, a copyArgs) error {
			return s.runCopy(ctx, a, move, byUID)
		})
	}
	return family{
		commands: []*cmd{
			one("COPY", tellAll, false, false), one("UID COPY", tellAll, false, true),
			one("MOVE", tellAll, true, false), one("UID MOVE", tellAll, true, true),
		},
		caps: caps(signedIn, "MOVE"),
	}
}

type copyArgs struct {
	set wire.NumSet
	to  string
}

func parseCopy(s *session, l *wire.Lexer) copyArgs {
	var a copyArgs
	l.SP()
	a.set = l.NumSet()
	l.SP()
	a.to = s.mailboxName(l)
	l.End()
	return a
}

func (s *session) runCopy(ctx context.Context, a copyArgs, move, byUID bool) error {
	if move {
		if _, err := s.writable(); err != nil {
			return err
		}
	}
	uids, err := s.resolve(a.set, byUID)
	if err != nil {
		return err
	}
	in, to, err := s.target(ctx, a.to)
	if err != nil || uids.Empty() {
		return err
	}
	if move {
		return s.move(ctx, in, to, uids)
	}
	var r command.CopyResult
	if in == s.sel.store {
		r, _, err = in.Copy(ctx, command.Copy{From: s.sel.id, UIDs: uids, To: to})
	} else {
		r, err = s.copyAcross(ctx, in, to, uids)
	}
	if err == nil && !r.Src.Empty() {
		s.done.code = copyUID(r)
	}
	return tryCreate(err)
}

func (s *session) move(ctx context.Context, in Changer, to rookery.MailboxID, uids uidset.Set) error {
	if in != s.sel.store {
		return no("CANNOT", "Messages are not moved between stores; copy them and delete the originals")
	}
	r, _, err := in.Move(ctx, command.Move{From: s.sel.id, UIDs: uids, To: to})
	if !r.Src.Empty() {
		// RFC 6851 4.3: ahead of the EXPUNGE responses.
		s.out.Text("* OK [").Text(copyUID(r)).Text("] Moved\r\n")
		if s.qresync {
			s.setHighest(r.ModSeq)
		}
	}
	return tryCreate(err)
}

func copyUID(r command.CopyResult) string {
	return "COPYUID " + strconv.FormatUint(uint64(r.UIDValidity), 10) + " " + r.Src.String() + " " + r.Dst.String()
}

// target finds the mailbox a message is to go to, after a barrier.
func (s *session) target(ctx context.Context, name string) (Changer, rookery.MailboxID, error) {
	p, v, m, err := s.find(ctx, name)
	if err == nil {
		v.Close()
	}
	in, readOnly := p.changer()
	switch {
	case p.store != nil && readOnly != nil:
		return nil, 0, readOnly
	case rookery.Is(err, rookery.KindNotFound) && s.free(ctx, name) != nil:
		return nil, 0, err // TRYCREATE would send the client into a refusal
	}
	return in, m.ID, tryCreate(err)
}

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }
