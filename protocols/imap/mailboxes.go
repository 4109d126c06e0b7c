package imap

import (
	"context"
	"strings"

	"rookery"
	"rookery/protocols/imap/wire"
	"rookery/storage/command"
)

// mailboxFamily holds CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE
// (RFC 9051 6.3.4 to 6.3.8) with CREATE-SPECIAL-USE (RFC 6154 3).
func mailboxFamily() family {
	return family{
		commands: []*cmd{
			define("CREATE", signedIn, tellAll, parseCreate, (*session).runCreate),
			define("DELETE", signedIn, tellAll, parseName, (*session).runDelete),
			define("RENAME", signedIn, tellAll, parseRename, (*session).runRename),
			define("SUBSCRIBE", signedIn, tellAll, parseName, func(s *session, ctx context.Context, name string) error {
				return s.runSubscribe(ctx, name, true)
			}),
			define("UNSUBSCRIBE", signedIn, tellAll, parseName, func(s *session, ctx context.Context, name string) error {
				return s.runSubscribe(ctx, name, false)
			}),
		},
		caps: caps(signedIn, "CREATE-SPECIAL-USE"),
	}
}

type createArgs struct {
	name, role string
}

// parseName takes one mailbox name. A separator at its end only announces
// names below it (RFC 9051 6.3.4).
func parseName(s *session, l *wire.Lexer) string {
	l.SP()
	name := strings.TrimSuffix(s.mailboxName(l), "/")
	l.End()
	return name
}

func parseCreate(s *session, l *wire.Lexer) createArgs {
	var a createArgs
	l.SP()
	a.name = strings.TrimSuffix(s.mailboxName(l), "/")
	if l.Accept(' ') {
		l.Byte('(')
		if p := l.Atom(); l.OK() && !wire.Fold(p, "USE") {
			l.Syntax("the CREATE parameter %.40s is unknown", p)
		}
		l.SP()
		l.Byte('(')
		for l.OK() && !l.Accept(')') {
			l.Accept(' ')
			role := parseFlagName(l)
			if a.role != "" && l.OK() {
				l.Fail(no("USEATTR", "A mailbox has one special use at most"))
			}
			a.role = role
		}
		l.Byte(')')
	}
	l.End()
	return a
}

// roles are the special uses a mailbox may have, as RFC 6154 spells them.
var roles = []string{`\Sent`, `\Trash`, `\Drafts`, `\Junk`, `\Archive`}

func (s *session) runCreate(ctx context.Context, a createArgs) error {
	if a.role != "" {
		known := false
		for _, r := range roles {
			if strings.EqualFold(r, a.role) {
				a.role, known = r, true
			}
		}
		if !known {
			return no("USEATTR", "The special use %s is not supported", cleanText(clip(a.role, 40)))
		}
	}
	in, name, err := s.changing(a.name)
	if err == nil {
		err = s.free(ctx, a.name)
	}
	if err != nil {
		return err
	}
	r, _, err := in.CreateMailbox(ctx, command.CreateMailbox{Name: name, Role: a.role})
	if err != nil {
		if a.role != "" && rookery.Is(err, rookery.KindExists) && !s.exists(a.name) {
			return no("USEATTR", "Another mailbox has this special use")
		}
		return err
	}
	s.done.code = "MAILBOXID (" + r.Mailbox.ObjectID(in.ID()) + ")"
	return nil
}

// changing resolves a name for a command that makes, renames or deletes it.
func (s *session) changing(name string) (Changer, string, error) {
	p, err := s.place(name)
	if err != nil {
		return nil, "", err
	}
	in, err := p.changer()
	return in, p.name, err
}

// exists reports whether the account has a mailbox of the name.
func (s *session) exists(name string) bool {
	v, err := s.own.View()
	if err != nil {
		return false
	}
	defer v.Close()
	_, err = v.ByName(name)
	return err == nil
}

func (s *session) runDelete(ctx context.Context, name string) error {
	if name == "INBOX" {
		return no("CANNOT", "INBOX cannot be deleted")
	}
	in, name, err := s.changing(name)
	if err == nil {
		_, err = in.DeleteMailbox(ctx, command.DeleteMailbox{Name: name})
	}
	return err
}

type renameArgs struct{ from, to string }

func parseRename(s *session, l *wire.Lexer) renameArgs {
	var a renameArgs
	l.SP()
	a.from = strings.TrimSuffix(s.mailboxName(l), "/")
	l.SP()
	a.to = strings.TrimSuffix(s.mailboxName(l), "/")
	l.End()
	return a
}

func (s *session) runRename(ctx context.Context, a renameArgs) error {
	in, from, err := s.changing(a.from)
	if err != nil {
		return err
	}
	there, to, err := s.changing(a.to)
	if err == nil {
		err = s.free(ctx, a.to)
	}
	switch {
	case err != nil:
		return err
	case in != there:
		return no("CANNOT", "A mailbox is not renamed from one store to another")
	}
	_, err = in.RenameMailbox(ctx, command.RenameMailbox{From: from, To: to})
	return err
}

// runSubscribe notes the name in the account, whichever store it leads to.
func (s *session) runSubscribe(ctx context.Context, name string, on bool) error {
	_, err := s.own.Subscribe(ctx, command.Subscribe{Name: name, On: on})
	if !on && rookery.Is(err, rookery.KindNotFound) {
		return nil // not subscribed is what was asked for
	}
	return err
}

// parseFlagName takes a flag or attribute: an atom, perhaps behind a
// backslash.
func parseFlagName(l *wire.Lexer) string {
	if l.Accept('\\') {
		return `\` + l.Atom()
	}
	return l.Atom()
}
