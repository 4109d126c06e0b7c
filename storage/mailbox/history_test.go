package mailbox

import (
	"bytes"
	"fmt"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/uidset"
)

// step is something that happens somewhere; most of it is executed, some is
// refused, and some comes again.
func (h *history) step() {
	a := h.groups[h.rng.IntN(2)]
	id := h.ids[h.rng.IntN(len(h.ids))]
	if h.rng.IntN(8) > 0 { // else it may be sent where the account is not
		a = h.groups[h.where[id]]
	}
	switch n := h.rng.IntN(100); {
	case n < 24:
		h.deliver(a, id)
	case n < 52:
		h.propose(a, h.change(a, id))
	case n < 58:
		h.restoreOn(a, id)
	case n < 63:
		h.bodies(a)
	case n < 67:
		h.items(a)
	case n < 75:
		h.again(a)
	case n < 79:
		h.rare(a, id)
	case n < 81:
		h.archive(a, rookery.LogIndex(len(a.log)-h.rng.IntN(min(len(a.log)-int(a.read), 20)+1)))
	default:
		for range 1 + h.rng.IntN(3) {
			h.moveOn(id)
		}
	}
}

// again sends something that was sent before: lately or long ago, also of an
// epoch that is over.
func (h *history) again(a *archived) {
	back := 1 + h.rng.IntN(min(len(a.log), 8))
	if h.rng.IntN(4) == 0 {
		back = 1 + h.rng.IntN(len(a.log))
	}
	h.entry(a, a.log[len(a.log)-back].Data)
	if h.rng.IntN(10) == 0 {
		h.raw(a, []byte("not a command"))
	}
	if h.rng.IntN(20) == 0 {
		h.entry(a, []byte("no envelope"))
	}
}

func (h *history) box() rookery.MailboxID { return rookery.MailboxID(1 + h.rng.IntN(8)) }

func (h *history) uids() UIDs {
	from := rookery.UID(1 + h.rng.IntN(12))
	return uidset.Range(from, from+rookery.UID(h.rng.IntN(8)))
}

func (h *history) name() string {
	return []string{"a", "b", "a/b", "Drafts", "INBOX", "c"}[h.rng.IntN(6)]
}

func (h *history) keywords() []string {
	return [][]string{nil, nil, {"work"}, {"WORK", "$Junk"}}[h.rng.IntN(4)]
}

// deliver files a message for some accounts, also such as are elsewhere.
func (h *history) deliver(a *archived, id rookery.AccountID) {
	h.emails++
	c := &command.Deliver{Email: emailID(h.emails), Size: h.rng.Int64N(400), Layout: []byte("layout"),
		Extract: fmt.Appendf(nil, "extract %d", h.emails), Payload: []byte("payload")}
	if h.rng.IntN(15) == 0 {
		c.Email = emailID(1 + h.rng.IntN(h.emails))
	}
	to := []rookery.AccountID{id}
	for h.rng.IntN(2) == 0 && len(to) < 4 {
		if other := h.ids[h.rng.IntN(len(h.ids))]; h.groups[h.where[other]] == a || h.rng.IntN(20) == 0 {
			to = append(to, other)
		}
	}
	for _, id := range to {
		d := command.Delivery{Account: id, Flags: Flags(h.rng.IntN(32)), Keywords: h.keywords(), WrappedKey: []byte{byte(h.emails)},
			Strict: h.rng.IntN(4) == 0, NoQuota: h.rng.IntN(5) == 0,
			InternalDate: h.rng.Int64N(2), Threads: [][8]byte{{byte(h.rng.IntN(6))}, {byte(h.rng.IntN(60))}}}
		if h.rng.IntN(3) == 0 {
			d.Mailbox = h.box()
		}
		c.Deliveries = append(c.Deliveries, d)
	}
	if h.rng.IntN(6) == 0 {
		c.Staged, c.Payload = h.stage(a), nil
	}
	switch h.rng.IntN(8) {
	case 0:
		c.Item = &command.Item{ID: command.ItemID{9, byte(h.emails), byte(h.emails >> 8)}, Kind: command.Message,
			Rows: []command.ItemRow{{Kind: command.ToGroup, Group: 7}}}
		if h.rng.IntN(2) == 0 { // and for another system
			h.propose(a, &command.SetDayKey{Day: 1, Key: under(3, 9)})
			c.Item.Day = 1
			c.Item.Rows = append(c.Item.Rows, command.ItemRow{Kind: command.ToRemote, Recipient: []byte{1}})
		}
	case 1, 2:
		c.FromItem = &command.ItemID{byte(h.rng.IntN(3)), 2}
		if h.rng.IntN(4) == 0 {
			c.Until = h.clock + h.rng.Int64N(4e6)
		}
	}
	if h.rng.IntN(10) == 0 { // it tells of an earlier one
		n := 1 + h.rng.IntN(h.emails)
		c.Tells = &command.Tells{Rows: []command.RowRef{{Item: command.ItemID{9, byte(n), byte(n >> 8)}, N: 1}}}
	}
	h.propose(a, c)
}

// stage commits the chunks of a body.
func (h *history) stage(a *archived) *command.Staged {
	a.stages++
	id := command.StageID{Node: "n1", Epoch: h.epoch, N: 1 + a.stages%4}
	parts := 1 + h.rng.IntN(3)
	for p := range parts {
		h.propose(a, &command.Stage{Stage: id, Part: uint32(p), Payload: fmt.Appendf(nil, "chunk %d of %d", p, a.stages)})
		if h.rng.IntN(8) == 0 { // and all over again
			h.propose(a, &command.Abandon{Stage: id})
			h.propose(a, &command.Stage{Stage: id, Payload: []byte("another")})
			parts = 1
			break
		}
	}
	return &command.Staged{Stage: id, Parts: uint32(parts)}
}

// change is a client's command.
func (h *history) change(a *archived, id rookery.AccountID) command.Command {
	x := h.box()
	switch n := h.rng.IntN(34); {
	case n < 7:
		return &command.StoreFlags{Account: id, Mailbox: x, UIDs: h.uids(), Mode: command.StoreMode(h.rng.IntN(3)),
			Flags: Flags(h.rng.IntN(32)), Keywords: h.keywords()}
	case n < 13:
		return &command.Expunge{Account: id, Mailbox: x, UIDs: h.uids(), Force: h.rng.IntN(2) == 0, All: h.rng.IntN(6) == 0}
	case n < 16:
		return &command.Copy{Account: id, From: Inbox, To: x, UIDs: h.uids()}
	case n < 19:
		return &command.Move{Account: id, From: Inbox, To: x, UIDs: h.uids()}
	case n < 22:
		return &command.CreateMailbox{Account: id, Name: h.name(), Validity: uint32(h.rng.IntN(2000)), Subscribe: true}
	case n < 24:
		return &command.DeleteMailbox{Account: id, Name: h.name()}
	case n < 26:
		return &command.RenameMailbox{Account: id, From: h.name(), To: h.name()}
	case n < 27:
		return &command.Subscribe{Account: id, Name: h.name(), On: h.rng.IntN(2) == 0}
	case n < 28:
		return &command.SetQuota{Account: id, Quota: h.rng.Int64N(9000)}
	case n < 30:
		return h.recoverable(a, id, x)
	default:
		return &command.PurgeExpunged{Account: id, Before: h.clock - h.rng.Int64N(60e6)}
	}
}

func (h *history) recoverable(a *archived, id rookery.AccountID, to rookery.MailboxID) command.Command {
	c := &command.Recover{Account: id, To: to}
	v, err := a.m.View(id)
	if err != nil {
		return c
	}
	defer v.Close()
	all, err := v.Expunged(command.ExpungedID{}, 20)
	must(err)
	for _, e := range all {
		if h.rng.IntN(3) == 0 {
			c.Messages = append(c.Messages, e.ExpungedID)
		}
	}
	return c
}

// bodies packs, and stages what nobody takes.
func (h *history) bodies(a *archived) {
	all, err := a.m.Bodies(0, 100)
	must(err)
	h.emails++
	c := &command.Packed{Pack: command.PackID(fmt.Sprintf("pack%04d", h.emails)), Size: 1 << 20}
	for _, b := range all {
		if h.rng.IntN(3) == 0 {
			c.Bodies = append(c.Bodies, command.PackedBody{Body: b.ID, Off: 1, Len: 9})
		}
	}
	h.propose(a, c)
	h.propose(a, &command.PackDead{Pack: command.PackID(fmt.Sprintf("pack%04d", h.rng.IntN(h.emails)))})
	if h.rng.IntN(3) == 0 {
		h.stage(a)
	}
	if h.rng.IntN(6) == 0 {
		h.propose(a, &command.Stage{Stage: command.StageID{Node: "gone", Epoch: 1, N: a.stages}, Payload: []byte("x")})
		h.propose(a, &command.ForgetNode{Node: "gone"})
	}
}

func (h *history) items(a *archived) {
	if h.rng.IntN(2) == 0 {
		h.propose(a, &command.ItemForget{Item: command.ItemID{byte(h.rng.IntN(3)), 2}})
		return
	}
	n := 1 + h.rng.IntN(h.emails+1)
	h.propose(a, &command.ItemResult{Item: command.ItemID{9, byte(n), byte(n >> 8)}})
}

// rare is what an operator or a disaster does.
func (h *history) rare(a *archived, id rookery.AccountID) {
	switch h.rng.IntN(9) {
	case 0:
		h.propose(a, &command.EraseAccount{Account: id})
	case 1:
		if h.rng.IntN(3) == 0 {
			h.propose(a, &command.BarAccount{Account: id})
		}
	case 2, 3:
		h.propose(a, &command.CreateAccount{Account: id, Key: under(3, 9), Roles: command.DefaultRoles(), Validity: 1500})
	case 4:
		h.term++
		h.propose(a, &command.Jump{Recovery: "r", UIDs: 100, ModSeqs: 1000, Mailboxes: 3, CountersOnly: h.rng.IntN(2) == 0})
	case 5:
		c := &command.RewrapAccounts{}
		for i, id := range h.ids {
			c.Accounts = append(c.Accounts, command.Rewrapped{Account: id, Old: under(3, byte(i)), New: under(4, byte(i))})
		}
		h.propose(a, c)
	case 6:
		h.propose(a, &command.KeyFloor{Version: 3})
	case 7:
		h.epoch++ // the node starts again
		for _, a := range h.groups {
			a.seq, a.stages = 0, 0
		}
	default:
		var b bytes.Buffer
		s, err := a.g.Snapshot()
		must(err)
		_, err = s.WriteTo(&b)
		must(err)
		must(s.Close())
		must(a.g.Restore(&b))
	}
}
