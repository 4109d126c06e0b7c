package imap

import (
	"errors"
	"fmt"
	"runtime/debug"

	"rookery"
)

// openAhead is how many messages an opener may hold, and the fewest that make
// one worth its goroutine.
const openAhead = 16

// opener opens the extracts of messages in order on another core, while the
// session reads what comes behind them and sends what came before.
type opener struct {
	todo, done chan *reading
	pending    int
}

func newOpener() *opener {
	o := &opener{todo: make(chan *reading, openAhead), done: make(chan *reading, openAhead)}
	go func() {
		defer close(o.done)
		for m := range o.todo {
			m.open()
			o.done <- m
		}
	}()
	return o
}

// give takes a message whose email has been read.
func (o *opener) give(m *reading) {
	o.pending++
	o.todo <- m
}

// take gives the next message, opened or with its error.
func (o *opener) take() *reading {
	o.pending--
	return <-o.done
}

// close ends the opener and returns when it has ended.
func (o *opener) close() {
	close(o.todo)
	for range o.done {
	}
}

// open opens the extract of a message whose email has been read. A fault in it
// is the message's: it must not end the node.
func (m *reading) open() {
	defer func() {
		if fault := recover(); fault != nil {
			m.logger().Error("IMAP could not open a message; please report this", "fault", fault, "stack", string(debug.Stack()))
			m.err = rookery.E("open message", rookery.KindDamaged, errors.New(fmt.Sprint(fault)))
		}
	}()
	if m.err != nil || m.ex != nil {
		return
	}
	if m.headerOnly {
		m.ex, m.err = m.sel.store.Header(m.ctx, *m.email)
	} else {
		m.ex, m.err = m.sel.store.Extract(m.ctx, *m.email)
	}
	m.err = notMailbox(m.err)
}
