package restore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"rookery"
	"rookery/backup/past"
	"rookery/storage/blob"
	"rookery/storage/command"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
	"rookery/storage/uidset"
)

// Account is the account that serves, and is restored into; account.Account is one.
type Account interface {
	ID() rookery.AccountID
	Apply(ctx context.Context, c command.Command) (command.Result, rookery.LogIndex, error)
	CreateMailbox(ctx context.Context, c command.CreateMailbox) (command.MailboxResult, rookery.LogIndex, error)
	StoreFlags(ctx context.Context, c command.StoreFlags) (command.StoreResult, rookery.LogIndex, error)
	Expunge(ctx context.Context, c command.Expunge) (command.ExpungeResult, rookery.LogIndex, error)
	Subscribe(ctx context.Context, c command.Subscribe) (rookery.LogIndex, error)
	View() (*mailbox.View, error)
	Key(ctx context.Context) (*keys.AccountKey, error)
}

// Options are what a restore is carried out with. All but Rekey, Throttle and Progress
// are required.
type Options struct {
	Job  command.RestoreID
	Past *past.Past
	Into Account
	// Live is the store of packs.
	Live blob.Store
	// PackLives reports whether a group still has a pack.
	PackLives func(rookery.GroupID, command.PackID) bool
	// Stage names the next body that travels in chunks, and says when it has.
	Stage func() (id command.StageID, done func())
	// Rekey is the key of the account that the messages were of, where that is another.
	Rekey *keys.AccountKey
	// Throttle waits until so many bytes may be written.
	Throttle func(ctx context.Context, bytes int64) error
	// Progress hears how many messages are back, and of what size.
	Progress func(messages int, bytes int64)
}

// committer is a restore under way.
type committer struct {
	Options
	ctx  context.Context
	plan *Plan
	wish Wish
	then *mailbox.View
	key  *keys.AccountKey // of Into, with Rekey
	open batch
}

// Commit carries out a plan. What was done before an error stays; the same job may be
// committed again, from a plan that was compared anew.
func Commit(ctx context.Context, o Options, plan *Plan, w Wish) error {
	then, err := o.Past.View()
	if err != nil {
		return err
	}
	defer then.Close()
	c := &committer{Options: o, ctx: ctx, plan: plan, wish: w, then: then}
	if o.Rekey != nil {
		if c.key, err = o.Into.Key(ctx); err != nil {
			return err
		}
	}
	for i := range plan.Boxes {
		if err := c.box(&plan.Boxes[i]); err != nil {
			return rookery.E("restore "+plan.Boxes[i].Name, 0, err)
		}
	}
	for _, name := range plan.Subscribe {
		if _, err := o.Into.Subscribe(ctx, command.Subscribe{Name: name, On: true}); err != nil {
			return err
		}
	}
	return nil
}

// box carries out what changes in one mailbox.
func (c *committer) box(b *Box) error {
	if b.Target == 0 {
		if err := c.create(b); err != nil {
			return err
		}
	}
	for _, r := range b.Add {
		if err := c.add(b, r); err != nil {
			return err
		}
	}
	if err := c.flush(); err != nil {
		return err
	}
	if err := c.flags(b); err != nil {
		return err
	}
	if b.Remove.Empty() {
		return nil
	}
	_, _, err := c.Into.Expunge(c.ctx, command.Expunge{Mailbox: b.Target, UIDs: b.Remove, Force: true})
	return err
}

// create makes a mailbox that is gone. A role that another has by now stays there.
func (c *committer) create(b *Box) error {
	order := command.CreateMailbox{Name: b.Name, Role: b.Then.Role}
	if c.wish.Into != "" {
		order.Role = ""
	}
	r, _, err := c.Into.CreateMailbox(c.ctx, order)
	if err != nil && order.Role != "" && !rookery.Is(err, rookery.KindUnavailable) {
		order.Role = ""
		r, _, err = c.Into.CreateMailbox(c.ctx, order)
	}
	if rookery.Is(err, rookery.KindExists) { // by another that began this, or by the owner
		return c.byName(b)
	}
	b.Target = r.Mailbox
	return err
}

func (c *committer) byName(b *Box) error {
	now, err := c.Into.View()
	if err != nil {
		return err
	}
	defer now.Close()
	m, err := now.ByName(b.Name)
	b.Target = m.ID
	return err
}

// flags sets flags back, those that are alike at once.
func (c *committer) flags(b *Box) error {
	type like struct {
		flags    mailbox.Flags
		keywords string
	}
	groups := map[like][]rookery.UID{}
	words := map[like][]string{}
	for _, f := range b.Flags {
		sorted := slices.Sorted(slices.Values(f.Keywords))
		k := like{f.Flags, strings.Join(sorted, " ")}
		groups[k], words[k] = append(groups[k], f.UID), sorted
	}
	for k, uids := range groups {
		if _, _, err := c.Into.StoreFlags(c.ctx, command.StoreFlags{Mailbox: b.Target, UIDs: uidset.New(uids...), Mode: command.StoreReplace,
			Flags: k.flags, Keywords: words[k]}); err != nil {
			return err
		}
		c.done(len(uids), 0)
	}
	return nil
}

func (c *committer) done(messages int, bytes int64) {
	if c.Progress != nil {
		c.Progress(messages, bytes)
	}
}

// batch is a command in the making.
type batch struct {
	box      *Box
	messages []command.RestoredMessage
	bytes    int   // of the command, about
	size     int64 // of the messages
}

// Bounds of one command.
const (
	maxMessages = 500
	maxBytes    = 512 << 10
)

// add takes one message into the command, or sends it alone with its body.
func (c *committer) add(b *Box, r mailbox.Row) error {
	m, source, err := c.message(r)
	if err != nil {
		return fmt.Errorf("message %d of %s: %w", r.UID, b.Then.Name, err)
	}
	if source != nil {
		if err := c.flush(); err != nil {
			return err
		}
		return c.alone(b, m, source)
	}
	size := 200 + len(m.Key) + len(m.UIDL)
	if m.Body != nil {
		size += 200 + len(m.Body.Extract) + len(m.Body.Layout)
	}
	if c.open.box != b || len(c.open.messages) >= maxMessages || c.open.bytes+size > maxBytes {
		if err := c.flush(); err != nil {
			return err
		}
		c.open.box = b
	}
	c.open.messages = append(c.open.messages, m)
	c.open.bytes += size
	c.open.size += r.Size
	return nil
}

// flush has the group agree on the command in the making.
func (c *committer) flush() error {
	if len(c.open.messages) == 0 {
		return nil
	}
	b := c.open
	c.open = batch{}
	return c.send(b, &command.Restore{Messages: b.messages})
}

func (c *committer) send(b batch, r *command.Restore) error {
	if c.Throttle != nil {
		if err := c.Throttle(c.ctx, int64(b.bytes)); err != nil {
			return err
		}
	}
	r.Account, r.Job, r.Source, r.Target, r.NoQuota = c.Into.ID(), c.Job, b.box.Then.ID, b.box.Target, c.wish.Exceed
	if _, _, err := c.Into.Apply(c.ctx, r); err != nil {
		return err
	}
	c.done(len(r.Messages), b.size)
	return nil
}
