package policy

import "context"

// Chain asks its filters in turn. The first that defers, refuses or drops
// decides; of the others the gravest does, and the fields of all are added. An
// empty chain goes on with everything.
type Chain []Filter

// Begin implements Filter.
func (c Chain) Begin(conn Connection) Transaction {
	t := make(asked, len(c))
	for i, f := range c {
		t[i] = f.Begin(conn)
	}
	return t
}

// asked are the transactions of a chain's filters.
type asked []Transaction

func (a asked) each(ask func(Transaction) Verdict) Verdict {
	var out Verdict
	for _, t := range a {
		v := ask(t)
		if v.Action >= Defer {
			return v
		}
		out.Action = max(out.Action, v.Action)
		out.Add = append(out.Add, v.Add...)
	}
	return out
}

// OnConnect implements Transaction.
func (a asked) OnConnect(ctx context.Context) Verdict {
	return a.each(func(t Transaction) Verdict { return t.OnConnect(ctx) })
}

// OnHello implements Transaction.
func (a asked) OnHello(ctx context.Context, name string) Verdict {
	return a.each(func(t Transaction) Verdict { return t.OnHello(ctx, name) })
}

// OnMail implements Transaction.
func (a asked) OnMail(ctx context.Context, s Sender) Verdict {
	return a.each(func(t Transaction) Verdict { return t.OnMail(ctx, s) })
}

// OnRecipient implements Transaction.
func (a asked) OnRecipient(ctx context.Context, r Recipient) Verdict {
	return a.each(func(t Transaction) Verdict { return t.OnRecipient(ctx, r) })
}

// OnMessage implements Transaction.
func (a asked) OnMessage(ctx context.Context, m *Message) Verdict {
	return a.each(func(t Transaction) Verdict { return t.OnMessage(ctx, m) })
}

// OnEnd implements Transaction.
func (a asked) OnEnd() {
	for _, t := range a {
		t.OnEnd()
	}
}
