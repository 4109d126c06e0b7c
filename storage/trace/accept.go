package trace

import (
	"rookery"
	"rookery/storage/command"
)

// maxPlaces bounds the places of one line.
const maxPlaces = 50

// Accept writes what a Deliver did that has filed a message or owes it: the lines
// that it brought, or, where another group accepted the message, that it was filed
// here. about is the message that it tells of, if any.
func Accept(w Work, c *command.Deliver, filed []command.Filed, about rookery.EmailID) {
	l := Line{Kind: Filed, Email: c.Email, About: about}
	if c.Item != nil {
		l.Row.Item = c.Item.ID
	}
	l.place(c.Deliveries, filed)
	if c.Trace == nil {
		if c.FromItem != nil {
			Add(w, &l)
		}
		return
	}
	l.Kind, l.Day = Accepted, c.Trace.Day
	for i, facts := range c.Trace.Lines {
		l.N, l.Facts = uint32(i), facts
		Add(w, &l)
		l = Line{Kind: Accepted, Email: c.Email, Day: l.Day}
	}
}

func (l *Line) place(to []command.Delivery, filed []command.Filed) {
	for i := range filed {
		switch f := &filed[i]; {
		case !f.OK:
			l.Missed++
		case len(l.Places) == maxPlaces:
			l.More++
		default:
			l.Places = append(l.Places, Place{to[i].Account, f.Mailbox, f.UID})
		}
	}
}

// Takes is the trace of a Deliver as it may be kept: nil where it is malformed, or
// where the group has no key of its day.
func Takes(c *command.Trace, keyed func(day uint32) bool) *command.Trace {
	if c == nil || len(c.Lines) == 0 || len(c.Lines) > command.MaxTraceLines || !keyed(c.Day) {
		return nil
	}
	for _, l := range c.Lines {
		if len(l) == 0 || len(l) > command.MaxSealed {
			return nil
		}
	}
	return c
}
