package imap

import (
	"context"

	"rookery/protocols/imap/wire"
	"rookery/storage/mailbox"
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
	v, err := s.freshView(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	if v.Account().Quota <= 0 {
		return no("NONEXISTENT", "The account has no limit, and so no quota root")
	}
	s.writeQuota(v.Account())
	return nil
}

// runGetQuotaRoot answers for names of no mailbox too: they would count against
// the same root (RFC 9208 4.3.2).
func (s *session) runGetQuotaRoot(ctx context.Context, name string) error {
	v, err := s.freshView(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	p, err := s.place(name)
	if err != nil {
		return err
	}
	a := v.Account()
	s.out.Text("* QUOTAROOT ")
	s.writeName(name)
	// What is mounted counts against no quota of the account's.
	if p.prefix != "" || a.Quota <= 0 {
		s.out.CRLF()
		return nil
	}
	s.out.Text(" \"\"\r\n")
	s.writeQuota(a)
	return nil
}

// writeQuota sends the account's root, in units of 1,024 octets, usage rounded
// up.
func (s *session) writeQuota(a mailbox.Account) {
	s.out.Text("* QUOTA \"\" (STORAGE ").Uint(uint64(a.UsedBytes+1023) / 1024).Byte(' ').Uint(uint64(a.Quota) / 1024).Text(")\r\n")
}
