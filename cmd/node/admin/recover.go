package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/storage/account"
	"rookery/storage/mailbox"
)

const (
	// maxRecoverable bounds a list of expunged messages.
	maxRecoverable = 1000
	// maxRecovered bounds the messages that one order files again.
	maxRecovered = 50_000
)

// recoverRoutes adds the orders of rookery account recoverable. The list is
// audited too, for it shows senders and subjects.
func (a *Server) recoverRoutes(t *routes) {
	order := func(fn func(context.Context, *account.Account, *adminapi.RecoverOrder) (adminapi.RecoverableList, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			var o adminapi.RecoverOrder
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&o); err != nil {
				replyError(w, rookery.E("read order", rookery.KindInvalid, err))
				return
			}
			id, err := a.account(r.Context(), r.PathValue("who"))
			var of *account.Account
			if err == nil {
				of, err = a.o.Accounts.Open(r.Context(), id)
			}
			var l adminapi.RecoverableList
			if err == nil {
				l, err = fn(r.Context(), of, &o)
			}
			if err != nil {
				replyError(w, a.elsewhere(id, err))
				return
			}
			noteDetail(w, fmt.Sprintf("account %s, %d listed, %d recovered", id, len(l.Messages), l.Recovered))
			reply(w, l)
		}
	}
	t.changes("POST /v1/accounts/{who}/recoverable", "account recoverable list", order(listRecoverable))
	t.changes("POST /v1/accounts/{who}/recover", "account recoverable restore", order(recoverMessages))
}

// elsewhere names the nodes to ask about an account that has no replica here.
func (a *Server) elsewhere(id rookery.AccountID, err error) error {
	place, perr := a.o.Replicas.System().Account(id)
	if perr != nil || !rookery.Is(err, rookery.KindUnavailable) || a.o.Replicas.Machine(place.Group) != nil {
		return err
	}
	nodes, nerr := a.o.Replicas.Nodes(place.Group)
	if nerr != nil {
		return err
	}
	return rookery.E("open account", rookery.KindUnavailable,
		fmt.Errorf("this node has no replica of group %d: ask one of the nodes %v", place.Group, nodes))
}

// takes reports whether an order picks a message.
func takes(o *adminapi.RecoverOrder, x *mailbox.Expunged) bool {
	return (len(o.IDs) == 0 || slices.Contains(o.IDs, recoverableID(x))) && (o.Mailbox == "" || o.Mailbox == x.Name) &&
		(o.Since.IsZero() || x.Time >= o.Since.UnixNano())
}

func recoverableID(x *mailbox.Expunged) string {
	return fmt.Sprintf("%d.%d", x.ModSeq, x.UID)
}

func listRecoverable(ctx context.Context, a *account.Account, o *adminapi.RecoverOrder) (adminapi.RecoverableList, error) {
	l := adminapi.RecoverableList{Messages: []adminapi.RecoverableMessage{}}
	var found []mailbox.Expunged
	err := a.Recoverable(ctx, func(x mailbox.Expunged) bool {
		switch {
		case !takes(o, &x):
		case len(found) == maxRecoverable:
			l.More++
		default:
			found = append(found, x)
		}
		return true
	})
	if err != nil {
		return l, err
	}
	for _, x := range found {
		l.Messages = append(l.Messages, describeExpunged(ctx, a, &x))
	}
	return l, nil
}

// describeExpunged is a message with what can be read of it.
func describeExpunged(ctx context.Context, a *account.Account, x *mailbox.Expunged) adminapi.RecoverableMessage {
	m := adminapi.RecoverableMessage{ID: recoverableID(x), Mailbox: x.Name, Expunged: time.Unix(0, x.Time).UTC(),
		Received: time.Unix(x.Row.InternalDate, 0).UTC(), Size: x.Row.Size}
	v, err := a.View()
	if err != nil {
		return m
	}
	e, err := v.Email(x.Row.Email)
	v.Close()
	if err != nil {
		return m
	}
	extract, err := a.Extract(ctx, e)
	if err != nil {
		return m
	}
	m.Subject, m.MessageID = extract.Envelope.Subject, extract.MessageID
	if from := extract.Envelope.From; len(from) > 0 {
		m.From = from[0].Mailbox + "@" + from[0].Host
	}
	return m
}

func recoverMessages(ctx context.Context, a *account.Account, o *adminapi.RecoverOrder) (adminapi.RecoverableList, error) {
	const op = "recover messages"
	l := adminapi.RecoverableList{Messages: []adminapi.RecoverableMessage{}}
	if len(o.IDs) == 0 && o.Mailbox == "" && o.Since.IsZero() && !o.All {
		return l, rookery.E(op, rookery.KindInvalid, errors.New("name messages by their ids, a mailbox, a time, or say all"))
	}
	var found []mailbox.Expunged
	err := a.Recoverable(ctx, func(x mailbox.Expunged) bool {
		if takes(o, &x) {
			found = append(found, x)
		}
		return len(found) <= maxRecovered
	})
	switch {
	case err != nil:
		return l, err
	case len(found) > maxRecovered:
		return l, rookery.E(op, rookery.KindLimit, fmt.Errorf("more than %d messages: restore them by mailbox or time", maxRecovered))
	case len(found) < len(o.IDs):
		return l, rookery.E(op, rookery.KindNotFound,
			fmt.Errorf("%d of the %d messages are not in the list any more; nothing was restored", len(o.IDs)-len(found), len(o.IDs)))
	}
	l.Recovered, err = a.Recover(ctx, found, o.To)
	if err != nil && l.Recovered > 0 {
		err = rookery.E(op, rookery.KindOf(err), fmt.Errorf("%d of %d messages are restored: %w", l.Recovered, len(found), err))
	}
	return l, err
}
