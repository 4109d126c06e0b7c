package account

import (
	"context"
	"fmt"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/propose"
	"rookery/storage/uidset"
)

// The methods of this file change the account. Each returns when a quorum has
// agreed and, unless ctx ends first, this node has applied the change, so that
// the next View shows it. The command's Account field (and a Validity that is
// 0) is filled in here. The LogIndex is where the (last) command lies in the
// group's log. Errors carry the machine's kind (KindNotFound no such mailbox,
// KindExists, KindOverQuota, KindInvalid, KindLimit, KindConflict) or the
// road's (KindUnavailable, KindUnknown).

// MaxCopy bounds the messages of one Copy.
const MaxCopy = 10_000

// Apply has the account's group agree on any command, as it is, and returns the
// machine's typed answer: the result struct the command package names for it,
// by pointer.
func (a *Account) Apply(ctx context.Context, c command.Command) (command.Result, rookery.LogIndex, error) {
	var r command.Result
	var index rookery.LogIndex
	err := a.following(ctx, moveWait, func(group rookery.GroupID) (err error) {
		r, index, err = a.store.apply(ctx, group, c)
		return err
	})
	return r, index, err
}

// apply is the one way of a command: agree, read the answer, wait for this
// node. A command that was agreed on has succeeded even if the wait is cut
// short: calling that a failure would invite the client to do it twice.
func (s *Store) apply(ctx context.Context, group rookery.GroupID, c command.Command) (command.Result, rookery.LogIndex, error) {
	result, index, err := propose.Command(ctx, s.o.Log, group, c)
	if err != nil {
		return nil, index, err
	}
	if err := s.o.Log.Wait(ctx, group, index); err != nil {
		s.o.Logger.Debug("not waited until a change shows on this node", "group", group, "index", index, "error", err)
	}
	return result, index, nil
}

// do is apply with the result of the type the command answers with.
func do[R command.Result](ctx context.Context, a *Account, c command.Command) (r R, index rookery.LogIndex, err error) {
	result, index, err := a.Apply(ctx, c)
	if err != nil {
		return r, index, err
	}
	r, ok := result.(R)
	if !ok {
		return r, index, rookery.E("apply command", rookery.KindUnknown, fmt.Errorf("%T answered %T", c, result))
	}
	return r, index, nil
}

// CreateMailbox makes a mailbox with its missing parents.
func (a *Account) CreateMailbox(ctx context.Context, c command.CreateMailbox) (command.MailboxResult, rookery.LogIndex, error) {
	c.Account, c.Validity = a.id, a.store.validity(c.Validity)
	r, index, err := do[*command.MailboxResult](ctx, a, &c)
	return value(r), index, err
}

// DeleteMailbox removes a mailbox; its messages become recoverable.
func (a *Account) DeleteMailbox(ctx context.Context, c command.DeleteMailbox) (rookery.LogIndex, error) {
	c.Account = a.id
	_, index, err := do[*command.Done](ctx, a, &c)
	return index, err
}

// RenameMailbox renames a mailbox and all below it.
func (a *Account) RenameMailbox(ctx context.Context, c command.RenameMailbox) (rookery.LogIndex, error) {
	c.Account, c.Validity = a.id, a.store.validity(c.Validity)
	_, index, err := do[*command.MailboxResult](ctx, a, &c)
	return index, err
}

// Subscribe sets or clears a subscription by name.
func (a *Account) Subscribe(ctx context.Context, c command.Subscribe) (rookery.LogIndex, error) {
	c.Account = a.id
	_, index, err := do[*command.Done](ctx, a, &c)
	return index, err
}

// StoreFlags changes flags, in commands of at most command.MaxBatch UIDs. The
// result is merged: Modified and Changed of all, the last ModSeq. When it fails
// part-way the result tells what was done before the error.
func (a *Account) StoreFlags(ctx context.Context, c command.StoreFlags) (all command.StoreResult, index rookery.LogIndex, err error) {
	c.Account = a.id
	parts, err := a.split(c.Mailbox, c.UIDs)
	if err != nil {
		return all, 0, err
	}
	for _, c.UIDs = range parts {
		r, i, err := do[*command.StoreResult](ctx, a, &c)
		if err != nil {
			return all, index, err
		}
		all.Modified, all.Changed = all.Modified.Union(r.Modified), all.Changed.Union(r.Changed)
		all.ModSeq, index = r.ModSeq, i
	}
	return all, index, nil
}

// Expunge removes messages with \Deleted (all given, with Force), in commands
// of at most command.MaxBatch UIDs; All takes the whole mailbox. Part-way
// failure as in StoreFlags. The result's More is always false.
func (a *Account) Expunge(ctx context.Context, c command.Expunge) (all command.ExpungeResult, index rookery.LogIndex, err error) {
	c.Account = a.id
	parts := []uidset.Set{{}}
	if !c.All {
		if parts, err = a.split(c.Mailbox, c.UIDs); err != nil {
			return all, 0, err
		}
	}
	for _, c.UIDs = range parts {
		for more := true; more; {
			r, i, err := do[*command.ExpungeResult](ctx, a, &c)
			if err != nil {
				return all, index, err
			}
			all.UIDs, all.ModSeq, index = all.UIDs.Union(r.UIDs), r.ModSeq, i
			more = r.More && !r.UIDs.Empty()
		}
	}
	return all, index, nil
}

// Copy copies messages, all or none as RFC 9051 6.4.7 wants it: in one command
// wherever the machine takes it, and refused with KindLimit over MaxCopy. Where
// the machine wants several commands, those that were done are taken back when
// one fails; a node that dies between them leaves the copies made so far.
func (a *Account) Copy(ctx context.Context, c command.Copy) (command.CopyResult, rookery.LogIndex, error) {
	c.Account = a.id
	uids, err := a.narrow(c.From, c.UIDs)
	if err != nil {
		return command.CopyResult{}, 0, err
	}
	if c.UIDs = uids; uids.Len() > MaxCopy {
		return command.CopyResult{}, 0, rookery.E("Copy", rookery.KindLimit,
			fmt.Errorf("%d messages are more than the %d of one COPY; copy them in several steps", uids.Len(), MaxCopy))
	}
	r, index, err := do[*command.CopyResult](ctx, a, &c)
	if !rookery.Is(err, rookery.KindLimit) || uids.Len() <= command.MaxBatch {
		return value(r), index, err
	}
	var all command.CopyResult
	for _, c.UIDs = range chunks(uids, command.MaxBatch) {
		r, i, err := do[*command.CopyResult](ctx, a, &c)
		if err != nil {
			return command.CopyResult{}, index, a.takeBack(ctx, c.To, all.Dst, err)
		}
		merge(&all, r)
		index = i
	}
	return all, index, nil
}

// takeBack removes the copies of a COPY that failed half way.
func (a *Account) takeBack(ctx context.Context, to rookery.MailboxID, copies uidset.Set, cause error) error {
	if copies.Empty() {
		return cause
	}
	// The client's time may be over: that must not leave half a COPY.
	_, _, err := a.Expunge(context.WithoutCancel(ctx), command.Expunge{Mailbox: to, UIDs: copies, Force: true})
	if err != nil {
		cause = fmt.Errorf("%w; and the copies already made could not be removed: %v", cause, err)
	}
	return cause
}

// Move moves messages, in commands of at most command.MaxBatch UIDs: each
// message is moved whole (RFC 6851 3.3 asks no more), and results are merged.
// Part-way failure as in StoreFlags.
func (a *Account) Move(ctx context.Context, c command.Move) (all command.CopyResult, index rookery.LogIndex, err error) {
	c.Account = a.id
	parts, err := a.split(c.From, c.UIDs)
	if err != nil {
		return all, 0, err
	}
	for _, c.UIDs = range parts {
		r, i, err := do[*command.CopyResult](ctx, a, &c)
		if err != nil {
			return all, index, err
		}
		merge(&all, r)
		index = i
	}
	return all, index, nil
}

// merge adds the result of a later command, whose UIDs are all higher.
func merge(all, r *command.CopyResult) {
	all.UIDValidity, all.ModSeq = r.UIDValidity, r.ModSeq
	all.Src, all.Dst = all.Src.Union(r.Src), all.Dst.Union(r.Dst)
}

// value is what a result points to; results are nil beside errors.
func value[R any](r *R) (v R) {
	if r != nil {
		v = *r
	}
	return v
}

func (s *Store) validity(v uint32) uint32 {
	if v == 0 {
		v = uint32(s.o.Clock().Unix())
	}
	return v
}

// narrow limits a long list to the messages there are, so that 1:* does not
// become millions of commands.
func (a *Account) narrow(m rookery.MailboxID, uids uidset.Set) (uidset.Set, error) {
	if uids.Len() <= command.MaxBatch {
		return uids, nil
	}
	v, err := a.View()
	if err != nil {
		return uids, err
	}
	defer v.Close()
	there, err := v.UIDs(m)
	if err != nil {
		return uids, err
	}
	return there.Intersect(uids), nil
}

func (a *Account) split(m rookery.MailboxID, uids uidset.Set) ([]uidset.Set, error) {
	uids, err := a.narrow(m, uids)
	if err != nil {
		return nil, err
	}
	if parts := chunks(uids, command.MaxBatch); parts != nil {
		return parts, nil
	}
	return []uidset.Set{{}}, nil // the machine still checks the mailbox
}

// chunks cuts a list into pieces of at most n UIDs.
func chunks(uids mailbox.UIDs, n int) (parts []mailbox.UIDs) {
	var b uidset.Builder
	room := n
	for _, r := range uids.Runs() {
		for first, last := r.Start, r.End(); ; {
			take := min(rookery.UID(room-1), last-first)
			b.AddRange(first, first+take)
			if room -= int(take) + 1; room == 0 {
				parts = append(parts, b.Set())
				b, room = uidset.Builder{}, n
			}
			if take == last-first {
				break
			}
			first += take + 1
		}
	}
	if rest := b.Set(); !rest.Empty() {
		parts = append(parts, rest)
	}
	return parts
}
