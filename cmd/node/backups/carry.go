package backups

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"rookery"
	"rookery/backup/restore"
	"rookery/cmd/node/adminapi"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// carried is a restore that this node carries out.
type carried struct {
	cancel context.CancelFunc
	ended  chan struct{}
	// next is when it may be tried again, after a failure that may pass.
	next time.Time
}

// restoresOf are all restores of a group, read a page at a time.
func restoresOf(m *mailbox.Machine) (all []mailbox.RestoreJob, err error) {
	for after := (rookery.AccountID{}); ; after = all[len(all)-1].Account {
		page, err := m.Restores(after, 1000)
		if err != nil || len(page) == 0 {
			return all, err
		}
		all = append(all, page...)
	}
}

// restores begins what is to be restored into accounts of groups that this node leads.
func (s *Service) restores(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	running := map[command.RestoreID]bool{}
	for _, group := range s.o.Replicas.Here() {
		m := s.o.Replicas.Machine(group)
		if m == nil || !s.o.Replicas.Leads(group) {
			continue
		}
		jobs, err := restoresOf(m)
		if err != nil {
			s.o.Logger.Warn("restores cannot be read", "group", group, "error", err)
			continue
		}
		for _, j := range jobs {
			if j.Ended == 0 {
				running[j.ID] = true
				s.carry(ctx, j)
			}
		}
	}
	for id, c := range s.jobs {
		if !running[id] {
			c.cancel()
			select {
			case <-c.ended:
				delete(s.jobs, id)
			default:
			}
		}
	}
}

// tryAgain is the pause before a restore that could not go on is tried again.
const tryAgain = 10 * time.Second

// carry begins one, unless it is under way here.
func (s *Service) carry(ctx context.Context, j mailbox.RestoreJob) {
	if c := s.jobs[j.ID]; c != nil {
		select {
		case <-c.ended:
		default:
			return
		}
		if s.o.Clock().Before(c.next) {
			return
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &carried{cancel: cancel, ended: make(chan struct{}), next: s.o.Clock().Add(tryAgain)}
	s.jobs[j.ID] = c
	go func() {
		defer close(c.ended)
		defer cancel()
		s.carryOut(ctx, j)
	}()
}

// carryOut brings everything back, or says why it cannot. What may pass is tried again
// by whoever leads the group then.
func (s *Service) carryOut(ctx context.Context, j mailbox.RestoreJob) {
	messages, err := s.bringBack(ctx, &j)
	end := &command.EndRestore{Account: j.Account, Job: j.ID, Outcome: command.RestoreDone, Text: fmt.Sprintf("%d messages changed", messages)}
	switch {
	case ctx.Err() != nil:
		return
	case rookery.Is(err, rookery.KindUnavailable), rookery.Is(err, rookery.KindUnknown), rookery.Is(err, rookery.KindMoved):
		s.o.Logger.Warn("a restore cannot go on now; trying again", "restore", j.ID, "account", j.Account, "error", err)
		return
	case err != nil:
		end.Outcome, end.Text = command.RestoreFailed, cut(err.Error(), command.MaxRestoreText)
	}
	account, err := s.o.Accounts.Open(ctx, j.Account)
	if err == nil {
		_, _, err = account.Apply(ctx, end)
	}
	if err != nil {
		s.o.Logger.Warn("the end of a restore could not be recorded; trying again", "restore", j.ID, "error", err)
		return
	}
	s.o.Logger.Info("a restore has ended", "restore", j.ID, "account", j.Account, "outcome", outcomes[end.Outcome], "text", end.Text)
}

func cut(text string, most int) string {
	if len(text) > most {
		return text[:most]
	}
	return text
}

// passes is how often an account is compared anew where it changes under the restore.
const passes = 3

func (s *Service) bringBack(ctx context.Context, j *mailbox.RestoreJob) (messages int, err error) {
	var x spec
	if err := cbor.Unmarshal(j.Spec, &x); err != nil {
		return 0, rookery.E("read restore", rookery.KindDamaged, err)
	}
	p, err := s.pastAgain(ctx, x.From, time.Unix(0, x.At))
	if err != nil {
		return 0, err
	}
	defer p.Close()
	into, err := s.o.Accounts.Open(ctx, j.Account)
	if err != nil {
		return 0, err
	}
	o := restore.Options{Job: j.ID, Past: p, Into: into, Live: s.o.Live, PackLives: s.packLives, Stage: s.stage,
		Progress: func(n int, _ int64) { messages += n }}
	if x.From != j.Account {
		from, err := s.o.Accounts.Open(ctx, x.From)
		if err != nil {
			return 0, err
		}
		if o.Rekey, err = from.Key(ctx); err != nil {
			return 0, err
		}
	}
	for pass := 1; ; pass++ {
		err := s.pass(ctx, &o, x)
		changed := rookery.Is(err, rookery.KindNotFound) || rookery.Is(err, rookery.KindConflict)
		if err == nil || !changed || pass == passes || ctx.Err() != nil {
			return messages, err
		}
	}
}

// pass compares the account as it is now, and brings back what it lacks.
func (s *Service) pass(ctx context.Context, o *restore.Options, x spec) error {
	if err := s.o.Replicas.Barrier(ctx, o.Past.Group()); err != nil {
		return err
	}
	then, err := o.Past.View()
	if err != nil {
		return err
	}
	defer then.Close()
	now, err := o.Into.View()
	if err != nil {
		return err
	}
	plan, err := restore.Compare(then, now, x.From == o.Into.ID(), x.Wish)
	now.Close()
	if err != nil {
		return err
	}
	return restore.Commit(ctx, *o, plan, x.Wish)
}

func (s *Service) packLives(group rookery.GroupID, id command.PackID) bool {
	m := s.o.Replicas.Machine(group)
	if m == nil {
		return false
	}
	p, err := m.Pack(id)
	return err == nil && p.State != mailbox.PackDeleted
}

// stage names the next body that travels in chunks, apart from those of deliveries and
// moves.
func (s *Service) stage() (id command.StageID, done func()) {
	id = command.StageID{Node: s.o.Node, Epoch: s.o.Epoch, N: 1<<62 | s.stages.Add(1)}
	s.staged.Store(id, true)
	return id, func() { s.staged.Delete(id) }
}

var outcomes = map[command.RestoreOutcome]string{
	0: "running", command.RestoreDone: "done", command.RestoreFailed: "failed", command.RestoreCancelled: "cancelled",
}

// shown is a job as operators see it.
func (s *Service) shown(j *mailbox.RestoreJob) adminapi.RestoreJob {
	a := adminapi.RestoreJob{ID: j.ID.String(), Account: j.Account.String(), State: outcomes[j.Outcome], Done: j.Messages, Bytes: j.Bytes,
		Text: j.Text, By: j.By, Began: time.Unix(0, j.Began).UTC()}
	var x spec
	if cbor.Unmarshal(j.Spec, &x) == nil {
		a.At, a.Address, a.Total = time.Unix(0, x.At).UTC(), x.Address, x.Total
	}
	if j.Ended > 0 {
		at := time.Unix(0, j.Ended).UTC()
		a.Ended = &at
	} else if a.Done > 0 && a.Total > a.Done {
		took := s.o.Clock().Sub(a.Began)
		a.Left = (took * time.Duration(a.Total-a.Done) / time.Duration(a.Done)).Seconds()
	}
	return a
}

func parseRestoreID(text string) (id command.RestoreID, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(id) {
		return id, rookery.E("find restore", rookery.KindInvalid, errors.New("this is no id of a restore; see: rookery restore list"))
	}
	copy(id[:], b)
	return id, nil
}
