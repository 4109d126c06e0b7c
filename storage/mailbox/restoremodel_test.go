package mailbox

import (
	"fmt"
	"slices"

	"rookery"
	"rookery/storage/command"
)

// modelPast is a message that an account had, and where its body lay.
type modelPast struct {
	command.RestoredMessage
	body BodyID
}

// modelJob is the account's restore that runs.
type modelJob struct {
	command.RestoreID
	uid rookery.UID // the last filed
}

// had notes a message for restores to come.
func (m *model) had(a *modelAccount, email rookery.EmailID, r Row, key []byte, tokens [][8]byte, body BodyID) {
	a.past = append(a.past, modelPast{command.RestoredMessage{SourceUID: rookery.UID(len(a.past) + 1), Email: email, Thread: r.Thread,
		Tokens: tokens, Key: key, Flags: r.Flags, Keywords: r.Keywords, Size: r.Size, Date: r.InternalDate, Saved: r.SaveDate,
		UIDL: r.UIDL}, body})
}

// restore says what becomes of a restore of messages that lie where m knows.
func (m *model) restore(c *command.Restore, index BodyID, now int64) (*command.RestoreResult, rookery.Kind) {
	a := m.accounts[c.Account]
	x := a.box(c.Target)
	if a.job == nil || a.job.RestoreID != c.Job || x == nil {
		return nil, rookery.KindNotFound
	}
	all := slices.Clone(c.Messages)
	for len(all) > 0 && all[0].SourceUID <= a.job.uid {
		all = all[1:]
	}
	result := &command.RestoreResult{Filed: uint32(len(all)), Skipped: uint32(len(c.Messages) - len(all))}
	if len(all) == 0 {
		return result, 0
	}
	alive, size := m.alive(), int64(0)
	for i := range all {
		size += all[i].Size
		_, here := a.emails[all[i].Email]
		b := all[i].Body
		switch {
		case here:
		case b == nil, b.Pack != "" && !alive[b.ID] && (m.deleted[b.Pack] || m.life[b.Pack] == 0):
			return nil, rookery.KindNotFound
		}
	}
	if used, _ := a.used(); a.quota > 0 && !c.NoQuota && used+size > a.quota {
		return nil, rookery.KindOverQuota
	}
	a.modseq++
	for i := range all {
		r := &all[i]
		if _, here := a.emails[r.Email]; !here {
			m.restoreBody(a, r, index, now, alive)
		}
		x.add(a, Row{Email: r.Email, Thread: a.threads[r.Email], Flags: r.Flags, Keywords: x.spell(r.Keywords), Size: a.sizes[r.Email],
			InternalDate: r.Date, SaveDate: r.Saved, UIDL: r.UIDL})
	}
	a.job.uid = all[len(all)-1].SourceUID
	return result, 0
}

func (m *model) restoreBody(a *modelAccount, r *command.RestoredMessage, index BodyID, now int64, alive map[BodyID]bool) {
	b := r.Body
	id := b.ID
	switch {
	case b.Pack == "":
		id = index
		m.arrived[id], m.encoded[id] = now, 7
	case !alive[id]:
		m.packed[id] = b.Pack
		m.life[b.Pack] = min(m.life[b.Pack], m.arrived[id])
		m.revived[id] = true
	}
	alive[id] = true
	a.emails[r.Email], a.wraps[r.Email], a.sizes[r.Email], a.threads[r.Email] = id, r.Key, r.Size, r.Thread
	a.bind(r.Email, r.Thread, r.Tokens)
}

// restoreRandom begins, goes on with or ends a restore.
func (s *storm) restoreRandom() string {
	id, a := s.account()
	if a.job == nil || s.rng.IntN(12) == 0 {
		s.jobs++
		c := &command.BeginRestore{Account: id, Job: command.RestoreID{byte(s.jobs), byte(s.jobs >> 8)}, Spec: []byte("spec")}
		if a.job != nil {
			s.run(c, nil, rookery.KindConflict)
			return "a second restore"
		}
		s.run(c, nil, 0)
		a.job = &modelJob{RestoreID: c.Job}
		return fmt.Sprintf("%+v", c)
	}
	if s.rng.IntN(10) == 0 {
		c := &command.EndRestore{Account: id, Job: a.job.RestoreID, Outcome: command.RestoreDone}
		s.run(c, nil, 0)
		a.job = nil
		s.run(c, nil, 0)
		late := &command.Restore{Account: id, Job: c.Job, Target: Inbox, Messages: []command.RestoredMessage{{SourceUID: 1}}}
		s.run(late, nil, rookery.KindNotFound)
		return fmt.Sprintf("%+v", c)
	}
	c := s.restoreCommand(id, a)
	if c == nil {
		return "nothing to restore"
	}
	want, kind := s.model.restore(c, BodyID(s.index+1), s.now())
	s.run(c, want, kind)
	if s.rng.IntN(4) == 0 { // by another coordinator
		want, kind := s.model.restore(c, BodyID(s.index+1), s.now())
		s.run(c, want, kind)
	}
	return fmt.Sprintf("%+v", c)
}

// restoreCommand picks messages that an account had, some of them filed already.
func (s *storm) restoreCommand(id rookery.AccountID, a *modelAccount) *command.Restore {
	if len(a.past) == 0 {
		return nil
	}
	c := &command.Restore{Account: id, Job: a.job.RestoreID, Source: 5, Target: s.box(a).ID, NoQuota: s.rng.IntN(2) == 0, Payload: []byte{}}
	if s.rng.IntN(20) == 0 {
		c.Target = 9999
	}
	from := min(max(int(a.job.uid)-2+s.rng.IntN(8), 0), len(a.past)-1)
	for _, p := range a.past[from:min(from+1+s.rng.IntN(6), len(a.past))] {
		if s.rng.IntN(4) == 0 {
			continue
		}
		c.Messages = append(c.Messages, s.restoreMessage(p))
	}
	if len(c.Messages) == 0 {
		return nil
	}
	if m := &c.Messages[0]; m.Body == nil && s.rng.IntN(3) > 0 {
		m.Body = &command.RestoredBody{Layout: []byte("l"), Extract: []byte("x")}
		c.Messages, c.Payload = c.Messages[:1], []byte("payload")
	}
	return c
}

func (s *storm) restoreMessage(p modelPast) command.RestoredMessage {
	r, m := p.RestoredMessage, s.model
	places := m.places[p.body]
	if len(places) > 0 && s.rng.IntN(20) > 0 { // the newest of them, mostly
		at := places[len(places)-1]
		if s.rng.IntN(4) == 0 {
			at = places[s.rng.IntN(len(places))]
		}
		r.Body = &command.RestoredBody{ID: p.body, Encoded: m.encoded[p.body], Layout: []byte("l"), Extract: []byte("x"),
			Arrived: m.arrived[p.body], Pack: at, Off: int64(p.body)}
	}
	return r
}
