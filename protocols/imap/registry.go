package imap

import (
	"context"
	"strings"

	"rookery/protocols/imap/wire"
)

// states is a set of the states of RFC 9051 section 3.
type states uint8

const (
	notAuthenticated states = 1 << iota
	authenticated
	selectedState

	signedIn = authenticated | selectedState
	anyState = notAuthenticated | signedIn
)

// cmd is one command: where it is allowed, how its arguments are read, and
// what it does. Arguments are not looked at in the wrong state.
type cmd struct {
	name  string
	in    states
	parse func(*session, *wire.Lexer) any
	// run answers with untagged responses; the tagged one follows from its
	// error or from session.done. It may read on where openEnded.
	run func(*session, context.Context, any) error
	// openEnded: parse stops before the command's end, run reads the rest.
	openEnded bool
	// long: the command ends with its work or its client, not by the clock.
	long bool
	// waits: its time says nothing of the server, for it is the client's.
	waits bool
	// view says what the session may be told of its mailbox afterwards.
	view viewRule
}

// viewRule says what may be told about the selected mailbox with a command's
// completion.
type viewRule uint8

const (
	tellAll        viewRule = iota
	tellNoExpunges          // message numbers must stay (RFC 9051 7.5.1)
	tellNothing
)

// define makes a command with arguments of type A.
func define[A any](name string, in states, view viewRule, parse func(*session, *wire.Lexer) A,
	run func(*session, context.Context, A) error) *cmd {
	return &cmd{
		name: name, in: in, view: view,
		parse: func(s *session, l *wire.Lexer) any { return parse(s, l) },
		run:   func(s *session, ctx context.Context, a any) error { return run(s, ctx, a.(A)) },
	}
}

// waiting is lasting for commands that are as long as their client likes.
func waiting(c *cmd) *cmd {
	c.waits = true
	return lasting(c)
}

// lasting takes the clock off a command.
func lasting(c *cmd) *cmd {
	c.long = true
	return c
}

// plain makes a command without arguments.
func plain(name string, in states, view viewRule, run func(*session, context.Context) error) *cmd {
	return define(name, in, view,
		func(_ *session, l *wire.Lexer) struct{} { l.End(); return struct{}{} },
		func(s *session, ctx context.Context, _ struct{}) error { return run(s, ctx) })
}

// capability is a name in CAPABILITY, in the states where it is true.
type capability struct {
	name string
	in   states
	// when, where set, decides by the session.
	when func(*session) bool
	// value, where set, is what follows the name now.
	value func() string
}

func caps(in states, names ...string) []capability {
	var cs []capability
	for _, n := range names {
		cs = append(cs, capability{name: n, in: in})
	}
	return cs
}

// family is what one file brings: commands and the capabilities they make
// true.
type family struct {
	commands []*cmd
	caps     []capability
}

// registry holds every command by name ("FETCH", "UID FETCH") and every
// capability in the order of CAPABILITY.
type registry struct {
	commands map[string]*cmd
	caps     []capability
}

func newRegistry(srv *Server) *registry {
	r := &registry{commands: make(map[string]*cmd)}
	for _, f := range []family{
		basicFamily(), signInFamily(), enableFamily(), selectFamily(), mailboxFamily(), listFamily(),
		statusFamily(), appendFamily(srv), fetchFamily(), searchFamily(), storeFamily(), expungeFamily(),
		copyFamily(), idleFamily(), quotaFamily(), namespaceFamily(),
	} {
		for _, c := range f.commands {
			if r.commands[c.name] != nil {
				panic("imap: two commands are named " + c.name)
			}
			r.commands[c.name] = c
		}
		r.caps = append(r.caps, f.caps...)
	}
	return r
}

// lookup finds a command by its name in any case.
func (r *registry) lookup(name string) *cmd { return r.commands[strings.ToUpper(name)] }

// capabilities is the list for a session's state, as CAPABILITY sends it.
func (r *registry) capabilities(s *session) string {
	var b strings.Builder
	for _, c := range r.caps {
		if c.in&s.state == 0 || c.when != nil && !c.when(s) {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(c.name)
		if c.value != nil {
			b.WriteString(c.value())
		}
	}
	return b.String()
}
