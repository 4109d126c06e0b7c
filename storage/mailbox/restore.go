package mailbox

import (
	"bytes"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

// restore files messages of an archive. Everything that can be refused is looked at
// before the first is filed.
func (w *work) restore(c *command.Restore) (command.Result, error) {
	k := restoreKey(c.Account, c.Job)
	v := w.Get(k)
	if v == nil {
		return nil, refuse(rookery.KindNotFound, "there is no restore %s of account %s", c.Job, c.Account)
	}
	job, err := decodeRestore(k, v)
	must(err)
	if job.Ended != 0 {
		return nil, refuse(rookery.KindNotFound, "restore %s has ended", c.Job)
	}
	if err := checkRestore(c); err != nil {
		return nil, err
	}
	a, err := w.account(c.Account)
	if err != nil {
		return nil, err
	}
	x, err := w.box(a, c.Target)
	if err != nil {
		return nil, err
	}
	before := job.filed(c)
	all := c.Messages[before:]
	result := &command.RestoreResult{Filed: uint32(len(all)), Skipped: uint32(before)}
	if len(all) == 0 {
		if c.Staged != nil {
			w.dropStage(c.Staged.Stage)
		}
		return result, nil
	}
	pieces, err := w.mayRestore(c, a, x, all)
	if err != nil {
		return nil, err
	}
	for i := range all {
		job.Messages++
		job.Bytes += w.restoreOne(c, a, x, &all[i], pieces)
	}
	if c.Staged != nil {
		w.takeStage(c.Staged.Stage, w.bodyAt(BodyID(w.Index())) != nil)
	}
	job.Source, job.UID = c.Source, all[len(all)-1].SourceUID
	w.Set(k, tables.Encode(&job))
	return result, nil
}

func checkRestore(c *command.Restore) error {
	if n := len(c.Messages); n == 0 || n > command.MaxRestored || n > 1 && (c.Staged != nil || len(c.Payload) > 0) ||
		c.Staged != nil && len(c.Payload) > 0 {
		return refuse(rookery.KindInvalid, "a restore of %d messages in one command; 1 to %d, and one with its body", n, command.MaxRestored)
	}
	var last rookery.UID
	for i := range c.Messages {
		m := &c.Messages[i]
		switch {
		case m.SourceUID <= last:
			return refuse(rookery.KindInvalid, "the messages of a restore are out of order")
		case m.Email == rookery.EmailID{} || m.Size < 0 || m.Size > maxSize || len(m.Key) > maxKey || len(m.Tokens) > MaxTokens ||
			!validUIDL(m.UIDL):
			return refuse(rookery.KindInvalid, "message %d of a restore is malformed", m.SourceUID)
		case m.Body != nil && m.Body.Pack == "" && c.Staged == nil && len(c.Payload) == 0:
			return refuse(rookery.KindInvalid, "the body of message %d is in no pack and was not brought along", m.SourceUID)
		}
		if err := checkKeywords(m.Keywords); err != nil {
			return err
		}
		last = m.SourceUID
	}
	return nil
}

// mayRestore refuses what cannot be filed, and gives where a body that comes along
// lies.
func (w *work) mayRestore(c *command.Restore, a *openAccount, x *openBox, all []command.RestoredMessage) (pieces []LogPiece, err error) {
	var size int64
	var words []string
	made := map[rookery.EmailID]bool{}
	for i := range all {
		m := &all[i]
		size += m.Size
		words = append(words, m.Keywords...)
		if made[m.Email] || w.email(a.ID, m.Email) != nil {
			continue
		}
		made[m.Email] = true
		switch {
		case m.Body == nil:
			return nil, refuse(rookery.KindNotFound, "message %s is not in the account any more, and its body was not brought along", m.Email)
		case m.Body.Pack != "":
			err = w.mayRevive(m.Body)
		default:
			pieces, err = w.pieces(&command.Deliver{Staged: c.Staged})
		}
		if err != nil {
			return nil, err
		}
	}
	if !c.NoQuota {
		if err := a.fits(size); err != nil {
			return nil, err
		}
	}
	if err := x.room(len(all)); err != nil {
		return nil, err
	}
	return pieces, x.spare(words)
}

// mayRevive refuses a body whose pack does not have it any more.
func (w *work) mayRevive(b *command.RestoredBody) error {
	if x := w.bodyAt(b.ID); x != nil {
		if !bytes.Equal(x.Layout, b.Layout) || x.Encoded != b.Encoded || x.Arrived != b.Arrived {
			return refuse(rookery.KindConflict, "body %d is another one by now", b.ID)
		}
		return nil
	}
	if b.ID == 0 || b.ID >= BodyID(w.Index()) || b.Encoded <= 0 || b.Off < 0 || len(b.Pack) > command.MaxPackID {
		return refuse(rookery.KindInvalid, "body %d of a restore is malformed", b.ID)
	}
	if w.Replaying() {
		return nil // packs are the group's
	}
	p, err := w.pack(b.Pack)
	switch {
	case err != nil:
		return err
	case p.State == PackDeleted:
		return refuse(rookery.KindNotFound, "pack %q was deleted", b.Pack)
	case b.Encoded > p.Size || b.Off > p.Size-b.Encoded:
		return refuse(rookery.KindInvalid, "body %d lies outside pack %q", b.ID, b.Pack)
	}
	return nil
}

// restoreOne files a message and gives its size.
func (w *work) restoreOne(c *command.Restore, a *openAccount, x *openBox, m *command.RestoredMessage, pieces []LogPiece) int64 {
	e := w.email(a.ID, m.Email)
	if e == nil {
		e = &email{size: m.Size, key: m.Key, thread: m.Thread}
		if e.body = m.Body.ID; m.Body.Pack == "" {
			e.body = BodyID(w.Index())
			w.addBody(&command.Deliver{Size: m.Size, Layout: m.Body.Layout, Extract: m.Body.Extract}, e.body, 1, w.Time(), pieces)
		} else {
			w.revive(m)
		}
		var records [][]byte
		e.tokens, records = w.tokens(a.ID, m.Tokens)
		w.bind(a.ID, m.Thread, e.tokens, records)
	}
	e.refs++
	w.Set(emailKey(a.ID, m.Email), e.encode())
	w.file(a, x, &row{email: m.Email, thread: e.thread, flags: m.Flags & command.FlagsAll, size: e.size, date: m.Date, saved: m.Saved,
		keywords: x.intern(m.Keywords), uidl: m.UIDL})
	return e.size
}

// revive refers to a body in its pack once more, which lives again.
func (w *work) revive(m *command.RestoredMessage) {
	b := m.Body
	if x := w.bodyAt(b.ID); x != nil {
		x.refs++
		w.Set(bodyKey(tableBody, b.ID), x.encode())
		return
	}
	x := bodyRecord{refs: 1, Body: Body{ID: b.ID, Size: m.Size, Encoded: b.Encoded, Layout: b.Layout, Arrived: b.Arrived,
		Pack: []PackPiece{{b.Pack, b.Off, b.Encoded}}}}
	w.Set(bodyKey(tableBody, b.ID), x.encode())
	if len(b.Extract) > 0 {
		w.Set(bodyKey(tableExtract, b.ID), b.Extract)
	}
	if w.Replaying() {
		return
	}
	p, err := w.pack(b.Pack)
	must(err)
	p.Live += b.Encoded
	p.LiveBodies++
	p.State, p.Dead = PackLive, 0
	if b.Arrived > 0 {
		p.Arrived = min(p.Arrived, b.Arrived)
	}
	w.setPack(p)
}
