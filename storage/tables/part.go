package tables

import (
	"errors"
	"fmt"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
)

// Part is one subject of a state machine: its tables and the handlers of its
// commands, declared in the file that has their code. W is a command in
// execution.
type Part[W any] struct {
	Tables   []Table
	Handlers []Handler[W]
	Follows  []Follow[W]
}

// Follow keeps what follows from the rows of one table of accounts where they
// are not written by the command that knows: in a copy that arrives, and where
// an account is removed. Row is called before a row is set (old nil: it is new)
// or deleted (new nil).
type Follow[W any] struct {
	Table byte
	Row   func(w W, id rookery.AccountID, k Key, old, new []byte)
}

// Handler executes one type of command.
type Handler[W any] struct {
	Type command.Type
	run  func(W, command.Command) (command.Result, error)
}

// On makes the handler of commands of type C. fn changes everything the
// command says or, where it gives an error, nothing.
func On[W any, C command.Command](fn func(W, C) (command.Result, error)) Handler[W] {
	var none C
	return Handler[W]{command.TypeOf(none), func(w W, c command.Command) (command.Result, error) { return fn(w, c.(C)) }}
}

// Parts is a state machine's parts together: it knows each command's handler
// and each row's table.
type Parts[W any] struct {
	Registry
	of       string
	handlers []*Handler[W] // by type
	follows  [256]*Follow[W]
}

// Join puts parts together; of names the machine in refusals ("a mail group").
// It panics where two parts claim a command or a table: a broken build.
func Join[W any](of string, parts ...Part[W]) *Parts[W] {
	p := &Parts[W]{of: of}
	for _, t := range kept() {
		p.add(t)
	}
	for _, part := range parts {
		for i := range part.Tables {
			if t := &part.Tables[i]; t.ID < state.FirstTable {
				panic(fmt.Sprintf("tables: %q cannot have a byte of the store's", t.Name))
			}
			p.add(&part.Tables[i])
		}
		for i := range part.Follows {
			p.follows[part.Follows[i].Table] = &part.Follows[i]
		}
		for i := range part.Handlers {
			h := &part.Handlers[i]
			for int(h.Type) >= len(p.handlers) {
				p.handlers = append(p.handlers, nil)
			}
			if p.handlers[h.Type] != nil {
				panic(fmt.Sprintf("tables: command type %d has two handlers", h.Type))
			}
			p.handlers[h.Type] = h
		}
	}
	return p
}

// Run executes a command. The error is KindInvalid where no part has its type.
func (p *Parts[W]) Run(w W, c command.Command) (command.Result, error) {
	if t := command.TypeOf(c); p.Handles(t) {
		return p.handlers[t].run(w, c)
	}
	return nil, Refuse(rookery.KindInvalid, "command %s does not belong to %s", command.NameOf(c), p.of)
}

// Follow tells the part of a table that a row of an account is about to be
// written.
func (p *Parts[W]) Follow(w W, id rookery.AccountID, k Key, old, new []byte) {
	if f := p.follows[k[0]]; f != nil {
		f.Row(w, id, k, old, new)
	}
}

// Handles reports whether a part has a type of command.
func (p *Parts[W]) Handles(t command.Type) bool {
	return int(t) < len(p.handlers) && p.handlers[t] != nil
}

// Answer encodes what became of a command, as state.Machine.Apply returns it.
func Answer(r command.Result, err error) []byte {
	if err == nil {
		return state.OK(command.EncodeResult(r))
	}
	return state.Refuse(rookery.KindOf(err), Reason(err))
}

// Refuse makes the error of a command that cannot be.
func Refuse(kind rookery.Kind, format string, args ...any) error {
	return rookery.E("apply", kind, fmt.Errorf(format, args...))
}

// Reason is a refusal's text without its operation.
func Reason(err error) string {
	var e *rookery.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}
