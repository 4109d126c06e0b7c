package delivery

import (
	"context"
	"time"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/message"
	"rookery/storage/trace"
)

// traced has an addressing add what the trace is to remember of the message. A
// group that has no key of the day for it takes the message without.
func (d *Deliverer) traced(ctx context.Context, next addressing, group rookery.GroupID, r *Request, role string) addressing {
	if d.o.Days == nil {
		return next
	}
	day, key, err := d.o.Days.Today(ctx, group)
	if err != nil {
		d.o.Logger.DebugContext(ctx, "a message leaves no trace: its group has no key of the day", "group", group, "id", r.ID, "error", err)
		return next
	}
	return func(cmd *command.Deliver, k keys.MessageKey, x *message.Extract) {
		next(cmd, k, x)
		cmd.Trace = &command.Trace{Day: uint32(day), Lines: trace.Seal(key, cmd.Email, d.facts(r, role, cmd, x))}
		cmd.Trace.Lines = cmd.Trace.Lines[:min(len(cmd.Trace.Lines), command.MaxTraceLines)]
	}
}

func (d *Deliverer) facts(r *Request, role string, cmd *command.Deliver, x *message.Extract) trace.Facts {
	f := trace.Facts{
		ID: r.ID, From: r.From, MessageID: x.MessageID, Client: r.Source.Client, Hello: r.Source.Hello, User: r.Source.User,
		Protocol: r.Source.Protocol, TLS: r.Source.TLS, Node: d.o.Name, Session: r.Session, Size: cmd.Size,
	}
	if role != "" {
		f.Verdict = "filed as " + role
	}
	if !r.Scheduled.IsZero() {
		f.Verdict = "scheduled for " + r.Scheduled.UTC().Format(time.RFC3339)
	}
	for i := range r.Recipients {
		f.To = append(f.To, r.Recipients[i].Address.String())
	}
	for i := range r.Remote {
		f.To = append(f.To, r.Remote[i].Address.String())
	}
	return f
}
