package mailbox

import (
	"fmt"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/uidset"
)

// remembered is a message as it was, in the group that its account was in.
type remembered struct {
	command.RestoredMessage
	in *archived
}

// restoring is what coordinators of an account's restores know.
type restoring struct {
	past []remembered // in the order of SourceUID
	// latest is the first of those that were noted last.
	latest int
	job    command.RestoreID
	n      byte
}

// restoreOn does something of a restore, and sometimes what makes one worthwhile.
func (h *history) restoreOn(a *archived, id rookery.AccountID) {
	x := h.restores[id]
	if x == nil {
		x = &restoring{}
		h.restores[id] = x
	}
	if h.rng.IntN(3) == 0 {
		h.remember(a, id, x)
	}
	if h.rng.IntN(2) == 0 {
		h.lose(a, id, x)
	}
	if x.n == 0 || h.rng.IntN(3) == 0 {
		x.n++
		x.job = command.RestoreID{1, x.n}
	}
	if h.propose(a, &command.BeginRestore{Account: id, Job: x.job, Spec: []byte("spec")}) == nil && h.rng.IntN(4) > 0 {
		return
	}
	for range h.rng.IntN(5) {
		h.fileAgain(a, id, x)
	}
	for h.rng.IntN(2) == 0 {
		h.propose(a, &command.EndRestore{Account: id, Job: x.job, Outcome: command.RestoreOutcome(h.rng.IntN(4))})
	}
}

// lose takes an account's INBOX away for good, but for the packs, some of which die.
func (h *history) lose(a *archived, id rookery.AccountID, x *restoring) {
	all, err := a.m.Unpacked(0, 100)
	must(err)
	h.emails++
	c := &command.Packed{Pack: command.PackID(fmt.Sprintf("pack%04d", h.emails)), Size: 1 << 20}
	for _, b := range all {
		if h.rng.IntN(5) > 0 {
			c.Bodies = append(c.Bodies, command.PackedBody{Body: b.ID, Off: int64(b.ID) * 100, Len: b.Encoded})
		}
	}
	h.propose(a, c)
	h.remember(a, id, x)
	h.propose(a, &command.Expunge{Account: id, Mailbox: Inbox, UIDs: uidset.Range(1, 1000), Force: true})
	h.propose(a, &command.PurgeExpunged{Account: id, Before: h.clock + 1e9})
	h.killPacks(a)
}

// remember notes messages of an account as they are.
func (h *history) remember(a *archived, id rookery.AccountID, x *restoring) {
	x.latest = len(x.past)
	v, err := a.m.View(id)
	if err != nil {
		return
	}
	defer v.Close()
	all, err := v.Mailboxes()
	must(err)
	for _, box := range all {
		must(v.Rows(box.ID, 1, 1000, func(r Row) bool {
			if h.rng.IntN(5) > 0 {
				x.past = append(x.past, remembered{rememberedRow(v, rookery.UID(len(x.past)+1), r), a})
			}
			return true
		}))
	}
}

func rememberedRow(v *View, at rookery.UID, r Row) command.RestoredMessage {
	e, err := v.Email(r.Email)
	must(err)
	b, err := v.Body(e.Body)
	must(err)
	m := command.RestoredMessage{SourceUID: at, Email: r.Email, Thread: r.Thread, Tokens: e.Tokens, Key: e.Key, Flags: r.Flags,
		Keywords: r.Keywords, Size: r.Size, Date: r.InternalDate, Saved: r.SaveDate, UIDL: r.UIDL,
		Body: &command.RestoredBody{ID: b.ID, Encoded: b.Encoded, Layout: b.Layout, Extract: e.Extract, Arrived: b.Arrived}}
	if len(b.Pack) > 0 {
		m.Body.Pack, m.Body.Off = b.Pack[0].Pack, b.Pack[0].Off
	}
	return m
}

// killPacks ends the life of every pack that nothing points into, of some for good.
func (h *history) killPacks(a *archived) {
	packs, err := a.m.Packs("", 1000)
	must(err)
	for _, p := range packs {
		h.propose(a, &command.PackDead{Pack: p.ID})
		if h.rng.IntN(6) == 0 {
			h.propose(a, &command.PackDeleted{Pack: p.ID})
		}
	}
}

// fileAgain proposes a batch of messages of then, sometimes twice.
func (h *history) fileAgain(a *archived, id rookery.AccountID, x *restoring) {
	c := &command.Restore{Account: id, Job: x.job, Source: rookery.MailboxID(1 + h.rng.IntN(20)/19), Target: h.box(),
		NoQuota: h.rng.IntN(2) == 0}
	if h.rng.IntN(2) == 0 {
		c.Target = Inbox
	}
	from := h.rng.IntN(len(x.past) + 1)
	if h.rng.IntN(4) > 0 {
		from = min(x.latest+h.rng.IntN(3), max(len(x.past)-1, 0))
	}
	for i := from; i < len(x.past) && i < from+4; i++ {
		m := x.past[i].RestoredMessage
		if m.Body.Pack == "" || x.past[i].in != a {
			if m.Body = nil; h.rng.IntN(6) > 0 {
				continue
			}
		}
		c.Messages = append(c.Messages, m)
	}
	if from < len(x.past) && h.rng.IntN(4) == 0 { // with its body
		m := x.past[from].RestoredMessage
		body := *m.Body
		body.Pack, m.Body = "", &body
		if c.Messages, c.Payload = []command.RestoredMessage{m}, []byte("payload"); h.rng.IntN(3) == 0 {
			c.Payload, c.Staged = nil, h.stage(a)
		}
	}
	dead := deadPacks(a)
	h.fileOne(a, c)
	if h.rng.IntN(3) == 0 {
		h.fileOne(a, c)
	}
	for p := range dead {
		if rec, err := a.m.Pack(p); err == nil && rec.State == PackLive {
			h.seen["packs that live again"]++
		}
	}
}

func (h *history) fileOne(a *archived, c *command.Restore) {
	r, ok := h.propose(a, c).(*command.RestoreResult)
	if !ok {
		return
	}
	h.seen["messages restored"] += int(r.Filed)
	for _, m := range c.Messages {
		if m.Body != nil && m.Body.Pack != "" {
			h.revived[revived{a.id, c.Account, m.Body.ID}] = true
		}
	}
}

func deadPacks(a *archived) map[command.PackID]bool {
	dead := map[command.PackID]bool{}
	packs, err := a.m.Packs("", 1000)
	must(err)
	for _, p := range packs {
		if p.State == PackDead {
			dead[p.ID] = true
		}
	}
	return dead
}

// revived is a body that a restore has referred to by its pack: the group may have it
// in the log besides, for others, and the account's entries say nothing of that.
type revived struct {
	group   rookery.GroupID
	account rookery.AccountID
	body    BodyID
}
