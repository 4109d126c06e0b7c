package restore

import (
	"cmp"
	"errors"
	"slices"

	"rookery"
	"rookery/storage/mailbox"
	"rookery/storage/uidset"
)

// Wish is what is to come back of an account, and how. The zero value is everything
// that is missing, into place.
type Wish struct {
	// Mailbox is the only mailbox that comes back, by its name then; empty is all.
	Mailbox string `cbor:"1,keyasint,omitempty"`
	// Emails are the only messages that come back; none is all.
	Emails []rookery.EmailID `cbor:"2,keyasint,omitempty"`
	// Replace makes each mailbox what it was: what came later is expunged, which can
	// be undone, and flags are set back.
	Replace bool `cbor:"3,keyasint,omitempty"`
	// Into is a mailbox below which everything is put, instead of in place.
	Into string `cbor:"4,keyasint,omitempty"`
	// Exceed takes the account over its quota where that is needed.
	Exceed bool `cbor:"5,keyasint,omitempty"`
}

// Plan is what a restore would change.
type Plan struct {
	Boxes []Box
	// Subscribe are names that were subscribed then and are not now.
	Subscribe []string
	// Bytes is the size of what is added.
	Bytes int64
	// Messages counts what is added, removed and given other flags.
	Messages int
}

// Box is what would change in one mailbox.
type Box struct {
	// Then is the mailbox as it was; Name is its name now, or the one it would get.
	Then mailbox.Mailbox
	Name string
	// Target is the mailbox that it comes back into; 0 is one that is made.
	Target rookery.MailboxID
	// Present counts the messages that are there already.
	Present int
	// Add are messages as they were, in the order of their UIDs then.
	Add []mailbox.Row
	// Remove are UIDs of messages that were not there then.
	Remove mailbox.UIDs
	// Flags are messages that are there, with other flags.
	Flags []Flagged
	Bytes int64
}

// Flagged is a message of now with its flags of then.
type Flagged struct {
	UID      rookery.UID
	Flags    mailbox.Flags
	Keywords []string
}

// Compare says what a restore would change. same says that both views are of one
// account. The error is KindNotFound where the mailbox or the messages asked for were
// not there then.
func Compare(then, now *mailbox.View, same bool, w Wish) (*Plan, error) {
	c := &comparison{then: then, now: now, same: same && w.Into == "", wish: w, plan: new(Plan)}
	if err := c.learn(); err != nil {
		return nil, err
	}
	old, err := then.Mailboxes()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(old, func(a, b mailbox.Mailbox) int { return cmp.Compare(a.ID, b.ID) }) // as command.Restore wants it
	for _, m := range old {
		if w.Mailbox != "" && m.Name != w.Mailbox {
			continue
		}
		if err := c.box(m); err != nil {
			return nil, err
		}
	}
	if len(c.plan.Boxes) == 0 || len(w.Emails) > 0 && c.found == 0 {
		return nil, rookery.E("restore", rookery.KindNotFound, errors.New("what is asked for was not in the account at that time"))
	}
	if w.Mailbox == "" && len(w.Emails) == 0 && c.same {
		err = c.subscriptions()
	}
	return c.plan, err
}

// comparison is a Compare under way.
type comparison struct {
	then, now *mailbox.View
	same      bool // in place, in the same account
	wish      Wish
	plan      *Plan
	boxes     []mailbox.Mailbox // of now
	// elsewhere counts the copies of each message of now, but for those in the trash.
	elsewhere map[rookery.EmailID]int
	found     int
}

// learn reads what there is now.
func (c *comparison) learn() (err error) {
	if c.boxes, err = c.now.Mailboxes(); err != nil {
		return err
	}
	c.elsewhere = map[rookery.EmailID]int{}
	if !c.anywhere() {
		return nil
	}
	for _, m := range c.boxes {
		if m.Role == `\Trash` {
			continue
		}
		if err := c.now.Rows(m.ID, 1, m.UIDNext, func(r mailbox.Row) bool { c.elsewhere[r.Email]++; return true }); err != nil {
			return err
		}
	}
	return nil
}

// anywhere says that a message counts as there wherever in the account it is: its
// owner has moved it since. Who asks for a mailbox or a message wants it there.
func (c *comparison) anywhere() bool {
	return c.same && !c.wish.Replace && c.wish.Mailbox == "" && len(c.wish.Emails) == 0
}

// box compares one mailbox.
func (c *comparison) box(m mailbox.Mailbox) error {
	b := Box{Then: m, Name: m.Name}
	if c.wish.Into != "" {
		b.Name = c.wish.Into + "/" + m.Name
	}
	target := c.target(&b)
	here := map[rookery.EmailID][]mailbox.Row{}
	if target != nil {
		b.Target, b.Name = target.ID, target.Name
		if err := c.now.Rows(target.ID, 1, target.UIDNext, func(r mailbox.Row) bool {
			here[r.Email] = append(here[r.Email], r)
			return true
		}); err != nil {
			return err
		}
	}
	if err := c.then.Rows(m.ID, 1, m.UIDNext, func(r mailbox.Row) bool {
		c.row(&b, here, r)
		return true
	}); err != nil {
		return err
	}
	if c.wish.Replace && len(c.wish.Emails) == 0 {
		var gone []rookery.UID
		for _, rest := range here {
			for _, r := range rest {
				gone = append(gone, r.UID)
			}
		}
		b.Remove = uidset.New(gone...)
	}
	if len(c.wish.Emails) > 0 && len(b.Add) == 0 && b.Present == 0 {
		return nil
	}
	c.plan.Bytes += b.Bytes
	c.plan.Messages += len(b.Add) + b.Remove.Len() + len(b.Flags)
	c.plan.Boxes = append(c.plan.Boxes, b)
	return nil
}

// target is the mailbox of now that one of then comes back into; nil where it is made.
func (c *comparison) target(b *Box) *mailbox.Mailbox {
	if c.same {
		for i := range c.boxes {
			if c.boxes[i].ID == b.Then.ID {
				return &c.boxes[i]
			}
		}
	}
	for i := range c.boxes {
		if c.boxes[i].Name == b.Name {
			return &c.boxes[i]
		}
	}
	return nil
}

// row decides on one message of then. here are the messages of the target of now that
// none of then was found to be yet.
func (c *comparison) row(b *Box, here map[rookery.EmailID][]mailbox.Row, r mailbox.Row) {
	if len(c.wish.Emails) > 0 && !slices.Contains(c.wish.Emails, r.Email) {
		return
	}
	c.found++
	if some := here[r.Email]; len(some) > 0 {
		now := some[0]
		if here[r.Email] = some[1:]; len(some) == 1 {
			delete(here, r.Email)
		}
		c.elsewhere[r.Email]--
		b.Present++
		if c.wish.Replace && (now.Flags != r.Flags || !sameWords(now.Keywords, r.Keywords)) {
			b.Flags = append(b.Flags, Flagged{now.UID, r.Flags, r.Keywords})
		}
		return
	}
	if c.anywhere() && c.elsewhere[r.Email] > 0 {
		c.elsewhere[r.Email]--
		b.Present++
		return
	}
	b.Add = append(b.Add, r)
	b.Bytes += r.Size
}

// subscriptions are those that are missing.
func (c *comparison) subscriptions() error {
	then, err := c.then.Subscriptions()
	if err != nil {
		return err
	}
	now, err := c.now.Subscriptions()
	for _, name := range then {
		if !slices.Contains(now, name) {
			c.plan.Subscribe = append(c.plan.Subscribe, name)
		}
	}
	return err
}

// sameWords compares lists of keywords, whose order means nothing.
func sameWords(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
