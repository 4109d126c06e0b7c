package imap

import (
	"context"

	"rookery/protocols/imap/wire"
)

// quotaFamily holds GETQUOTA and GETQUOTAROOT (RFC 9208). The one root is the
// account's, with the empty name; quotas come from the directory, so there is
// no SETQUOTA.
func quotaFamily() family {
	return family{
		commands: []*cmd{
			define("GETQUOTA", signedIn, tellAll, parseQuotaRoot, (*session).runGetQuota),
			define("GETQUOTAROOT", signedIn, tellAll, parseName, (*session).runGetQuotaRoot),
		},
		caps: caps(signedIn, "QUOTA", "QUOTA=RES-STORAGE"),
	}
}

func parseQuotaRoot(_ *session, l *wire.Lexer) string {
	l.SP()
	root := l.AString()
	l.End()
	return root
}

func (s *session) runGetQuota(ctx context.Context, root string) error {
	if root != "" {
		return no("NONEXISTENT", "There is no such quota root; the account's is \"\"")
	}
	return s.quota(ctx)
}

func (s *session) runGetQuotaRoot(ctx context.Context, name string) error {
	p, v, _, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	v.Close()
	s.out.Text("* QUOTAROOT ")
	s.writeName(name)
	if p.prefix != "" { // what is mounted counts against no quota of the account's
		s.out.CRLF()
		return nil
	}
	s.out.Text(" \"\"\r\n")
	return s.quota(ctx)
}

func (s *session) quota(ctx context.Context) error {
	v, err := s.freshView(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	a := v.Account()
	s.out.Text("* QUOTA \"\" (")
	if a.Quota > 0 {
		// In units of 1,024 octets, usage rounded up.
		s.out.Text("STORAGE ").Uint(uint64(a.UsedBytes+1023) / 1024).Byte(' ').Uint(uint64(a.Quota) / 1024)
	}
	s.out.Text(")\r\n")
	return nil
}
