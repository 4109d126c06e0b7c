package accountmove_test

import (
	"bytes"
	"fmt"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/uidset"
)

// client does something that a client could, to an account somewhere.
func (s *storm) client() {
	s.tick()
	id := s.ids[s.rng.IntN(len(s.ids))]
	v, err := s.ref.Machine(4).View(id)
	if err != nil {
		s.Fatal(err)
	}
	defer v.Close()
	boxes, err := v.Mailboxes()
	if err != nil {
		s.Fatal(err)
	}
	x, y := boxes[s.rng.IntN(len(boxes))], boxes[s.rng.IntN(len(boxes))]
	if s.rng.IntN(2) == 0 {
		x = boxes[0]
	}
	var uids []rookery.UID
	for u := rookery.UID(1); u < x.UIDNext; u++ {
		if s.rng.IntN(4) == 0 {
			uids = append(uids, u)
		}
	}
	some := uidset.New(uids...)
	names := []string{"a", "b", "a/b", "Drafts", "c"}
	name, other := names[s.rng.IntN(len(names))], names[s.rng.IntN(len(names))]
	switch n := s.rng.IntN(100); {
	case n < 30:
		s.send(s.mail(id, x.ID), id)
	case n < 40:
		s.item()
	case n < 55:
		s.send(&command.StoreFlags{Account: id, Mailbox: x.ID, UIDs: some, Mode: command.StoreMode(s.rng.IntN(3)),
			Flags: command.Flags(s.rng.IntN(32)), Keywords: []string{"k" + name[:1]}}, id)
	case n < 62:
		s.send(&command.Expunge{Account: id, Mailbox: x.ID, UIDs: some, Force: s.rng.IntN(2) == 0, All: s.rng.IntN(6) == 0}, id)
	case n < 68:
		s.send(&command.Copy{Account: id, From: x.ID, UIDs: some, To: y.ID}, id)
	case n < 74:
		s.send(&command.Move{Account: id, From: x.ID, UIDs: some, To: y.ID}, id)
	case n < 80:
		s.send(&command.CreateMailbox{Account: id, Name: name, Validity: uint32(s.rng.IntN(1000)), Subscribe: true}, id)
	case n < 84:
		s.send(&command.DeleteMailbox{Account: id, Name: name}, id)
	case n < 88:
		s.send(&command.RenameMailbox{Account: id, From: name, To: other}, id)
	case n < 90:
		s.send(&command.Subscribe{Account: id, Name: name, On: s.rng.IntN(2) == 0}, id)
	case n < 92:
		s.send(&command.SetQuota{Account: id, Quota: 1<<20 + s.rng.Int64N(10)}, id)
	case n < 96:
		s.recover(v, id, x.ID)
	default:
		s.send(&command.PurgeExpunged{Account: id, Before: s.now.UnixNano() - s.rng.Int64N(300)*1e9}, id)
	}
}

func (s *storm) recover(v *mailbox.View, id rookery.AccountID, to rookery.MailboxID) {
	all, err := v.Expunged(command.ExpungedID{}, 20)
	if err != nil {
		s.Fatal(err)
	}
	c := &command.Recover{Account: id, To: to}
	for _, e := range all {
		if s.rng.IntN(3) == 0 {
			c.Messages = append(c.Messages, e.ExpungedID)
		}
	}
	s.send(c, id)
}

func (s *storm) mail(id rookery.AccountID, box rookery.MailboxID) *command.Deliver {
	s.mails++
	e := rookery.EmailID{0xee, byte(s.mails >> 8), byte(s.mails)}
	size := 1 + s.rng.IntN(100)
	if s.rng.IntN(150) == 0 {
		size = command.MaxChunk + s.rng.IntN(command.MaxChunk) // travels in several entries
	}
	return &command.Deliver{Email: e, Size: s.rng.Int64N(3000), Extract: []byte("extract"), Layout: []byte(fmt.Sprint("layout ", s.mails)),
		Payload: bytes.Repeat([]byte{byte(s.mails), byte(s.mails >> 8)}, size),
		Deliveries: []command.Delivery{{Account: id, Mailbox: box, WrappedKey: []byte("wrapped"), Flags: command.Flags(s.rng.IntN(32)),
			Keywords: []string{"work"}, Threads: [][8]byte{{byte(s.rng.IntN(9))}}}}}
}

// item files a message for all accounts as an item of another group does:
// group by group, again and again, and each account gets it once.
func (s *storm) item() {
	var c *command.Deliver
	if len(s.owed) > 0 && s.rng.IntN(2) == 0 {
		i := s.rng.IntN(len(s.owed))
		if c = s.owed[i]; s.rng.IntN(4) == 0 {
			s.owed = append(s.owed[:i], s.owed[i+1:]...)
		}
	} else {
		c = s.mail(s.ids[0], mailbox.Inbox)
		item := command.ItemID{byte(s.mails), byte(s.mails >> 8), 7}
		c.FromItem = &item
		d := c.Deliveries[0]
		c.Deliveries = nil
		for _, id := range s.ids {
			d.Account = id
			c.Deliveries = append(c.Deliveries, d)
		}
		s.owed = append(s.owed, c)
	}
	left := c.Deliveries
	for tries := 0; len(left) > 0; tries++ {
		part, rest := *c, []command.Delivery(nil)
		part.Deliveries = nil
		group := s.where(left[0].Account)
		for _, d := range left {
			if s.where(d.Account) == group {
				part.Deliveries = append(part.Deliveries, d)
			} else {
				rest = append(rest, d)
			}
		}
		if tries == 0 && s.rng.IntN(3) == 0 && s.been(left, group) {
			part.Deliveries, rest = left, nil // as grouped before somebody moved
		}
		err := s.together(&part, group)
		switch {
		case rookery.Is(err, rookery.KindMoved):
			if tries > 3000 {
				s.Fatal("an item is owed for ever")
			}
			s.coordinator(applied)
			s.tick()
		case err != nil:
			s.Fatal(err)
		default:
			left = rest
			s.tick()
		}
	}
}

// together sends one command for several accounts. Where one of them is
// elsewhere by now nothing of it may be done.
func (s *storm) together(c *command.Deliver, group rookery.GroupID) error {
	_, err := s.propose(s.n, group, c)
	for _, d := range c.Deliveries {
		if s.where(d.Account) != group && err == nil {
			s.Errorf("group %d took a message for account %s, which is elsewhere", group, d.Account)
		}
	}
	if err == nil {
		_, err = s.propose(s.ref, 4, c)
	}
	return err
}

// been reports whether a group knows all the accounts, here or elsewhere.
func (s *storm) been(ds []command.Delivery, group rookery.GroupID) bool {
	for _, d := range ds {
		v, err := s.n.Machine(group).View(d.Account)
		if err == nil {
			v.Close()
		} else if !rookery.Is(err, rookery.KindMoved) {
			return false
		}
	}
	return true
}
