package backups

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/backup/restore"
	"rookery/cmd/node/adminapi"
	"rookery/storage/command"
)

// spec is what a job's row says of it.
type spec struct {
	From    rookery.AccountID `cbor:"1,keyasint"`
	At      int64             `cbor:"2,keyasint"`
	Wish    restore.Wish      `cbor:"3,keyasint"`
	Address string            `cbor:"4,keyasint,omitempty"`
	// Total is how many messages were to change when it began.
	Total uint64 `cbor:"5,keyasint,omitempty"`
}

// wishOf reads an order.
func wishOf(o *adminapi.RestoreOrder) (w restore.Wish, err error) {
	w = restore.Wish{Mailbox: o.Mailbox, Replace: o.Replace, Into: o.Into, Exceed: o.Exceed}
	for _, text := range o.Emails {
		id, err := rookery.ParseEmailID(text)
		if err != nil {
			return w, rookery.E("restore", rookery.KindInvalid, fmt.Errorf("%q is no EMAILID; see: rookery backup find", text))
		}
		w.Emails = append(w.Emails, id)
	}
	switch {
	case o.Replace && (o.Into != "" || len(o.Emails) > 0):
		return w, rookery.E("restore", rookery.KindInvalid, errors.New(
			"what comes back beside the mailboxes, or message by message, replaces nothing"))
	case len(w.Emails) > 400:
		return w, rookery.E("restore", rookery.KindInvalid, errors.New("at most 400 messages in one order; restore their mailbox instead"))
	}
	return w, nil
}

// compare says what a restore would change.
func (s *Service) compare(ctx context.Context, id, to rookery.AccountID, at time.Time, w restore.Wish) (*restore.Plan, error) {
	p, err := s.pastAgain(ctx, id, at)
	if err != nil {
		return nil, err
	}
	defer s.again.put(moment{id, at.UnixNano()}, p)
	then, err := p.View()
	if err != nil {
		return nil, err
	}
	defer then.Close()
	account, err := s.o.Accounts.Open(ctx, to)
	if err != nil {
		return nil, err
	}
	if err := account.Sync(ctx); err != nil {
		return nil, err
	}
	now, err := account.View()
	if err != nil {
		return nil, err
	}
	defer now.Close()
	return restore.Compare(then, now, id == to, w)
}

// Plan says what a restore would change.
func (s *Service) Plan(ctx context.Context, id, to rookery.AccountID, o adminapi.RestoreOrder) (a adminapi.RestorePlan, err error) {
	w, err := wishOf(&o)
	if err != nil {
		return a, err
	}
	plan, err := s.compare(ctx, id, to, o.At, w)
	if err != nil {
		return a, err
	}
	a = adminapi.RestorePlan{Account: id.String(), To: to.String(), At: o.At.UTC(), Bytes: plan.Bytes}
	a.Mailboxes = []adminapi.PlannedMailbox{}
	for _, b := range plan.Boxes {
		a.Mailboxes = append(a.Mailboxes, adminapi.PlannedMailbox{Name: b.Then.Name, Target: b.Name, Created: b.Target == 0, Present: b.Present,
			Add: len(b.Add), Remove: b.Remove.Len(), Flags: len(b.Flags), Bytes: b.Bytes})
		a.Add += len(b.Add)
		a.Remove += b.Remove.Len()
		a.Flags += len(b.Flags)
	}
	return a, nil
}

// Begin begins a restore, which the node that leads the account's group carries out.
func (s *Service) Begin(ctx context.Context, id, to rookery.AccountID, o adminapi.RestoreOrder, by string) (
	j adminapi.RestoreJob, err error) {
	w, err := wishOf(&o)
	if err != nil {
		return j, err
	}
	plan, err := s.compare(ctx, id, to, o.At, w)
	if err != nil {
		return j, err
	}
	account, err := s.o.Accounts.Open(ctx, to)
	if err != nil {
		return j, err
	}
	if !w.Exceed {
		if err := s.fits(ctx, to, plan.Bytes); err != nil {
			return j, err
		}
	}
	text, err := cbor.Marshal(spec{From: id, At: o.At.UnixNano(), Wish: w, Address: o.Account, Total: uint64(plan.Messages)})
	if err != nil {
		return j, rookery.E("restore", rookery.KindInvalid, err)
	}
	c := &command.BeginRestore{Account: to, Spec: text, By: by}
	rand.Read(c.Job[:])
	if _, _, err := account.Apply(ctx, c); err != nil {
		return j, err
	}
	s.o.Logger.Info("a restore has begun", "restore", c.Job, "account", to, "at", o.At.UTC(), "messages", plan.Messages, "by", by)
	s.mu.Lock()
	begin := s.begun
	s.mu.Unlock()
	if begin != nil {
		begin() // at once, where this node is to do it
	}
	return s.job(ctx, c.Job.String())
}

// fits refuses what is over the account's quota.
func (s *Service) fits(ctx context.Context, id rookery.AccountID, bytes int64) error {
	a, err := s.o.Accounts.Open(ctx, id)
	if err != nil {
		return err
	}
	f, err := a.Facts(ctx)
	if err == nil && f.Quota > 0 && f.Used+bytes > f.Quota {
		err = rookery.E("restore", rookery.KindOverQuota, fmt.Errorf("%d bytes come back, and the account uses %d of its %d: raise its quota, "+
			"restore less, or exceed it", bytes, f.Used, f.Quota))
	}
	return err
}

// Restores lists the restores of the groups with a replica here, the newest first.
func (s *Service) Restores(ctx context.Context) ([]adminapi.RestoreJob, error) {
	all := []adminapi.RestoreJob{}
	for _, group := range s.o.Replicas.Here() {
		if err := s.o.Replicas.Barrier(ctx, group); err != nil {
			return nil, err
		}
		m := s.o.Replicas.Machine(group)
		if m == nil {
			continue
		}
		jobs, err := restoresOf(m)
		if err != nil {
			return nil, err
		}
		for i := range jobs {
			all = append(all, s.shown(&jobs[i]))
		}
	}
	slices.SortFunc(all, func(a, b adminapi.RestoreJob) int { return b.Began.Compare(a.Began) })
	return all, nil
}

// job is one of them.
func (s *Service) job(ctx context.Context, id string) (adminapi.RestoreJob, error) {
	all, err := s.Restores(ctx)
	for _, j := range all {
		if j.ID == id {
			return j, nil
		}
	}
	if err == nil {
		err = rookery.E("find restore", rookery.KindNotFound, fmt.Errorf("there is no restore %q; see: rookery restore list", id))
	}
	return adminapi.RestoreJob{}, err
}

// Cancel ends a restore; what is back stays.
func (s *Service) Cancel(ctx context.Context, id string) (adminapi.RestoreJob, error) {
	j, err := s.job(ctx, id)
	if err != nil || j.State != "running" {
		return j, err
	}
	to, err := rookery.ParseAccountID(j.Account)
	if err != nil {
		return j, err
	}
	account, err := s.o.Accounts.Open(ctx, to)
	if err != nil {
		return j, err
	}
	c := &command.EndRestore{Account: to, Outcome: command.RestoreCancelled, Text: "cancelled by an operator; what was back by then stays"}
	if c.Job, err = parseRestoreID(id); err != nil {
		return j, err
	}
	if _, _, err := account.Apply(ctx, c); err != nil {
		return j, err
	}
	return s.job(ctx, id)
}
