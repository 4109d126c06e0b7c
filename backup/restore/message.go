package restore

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/mailbox"
)

// message makes the order for one message. body is set where its bytes have to be
// brought along.
func (c *committer) message(r mailbox.Row) (m command.RestoredMessage, body *mailbox.Body, err error) {
	e, err := c.then.Email(r.Email)
	if err != nil {
		return m, nil, err
	}
	m = command.RestoredMessage{
		SourceUID: r.UID, Email: r.Email, Thread: r.Thread, Tokens: e.Tokens, Key: e.Key, Flags: r.Flags, Keywords: r.Keywords, Size: r.Size,
		Date: r.InternalDate, Saved: r.SaveDate, UIDL: r.UIDL,
	}
	if c.Rekey != nil {
		if err := c.rekey(&m); err != nil {
			return m, nil, err
		}
	}
	there, err := c.has(r.Email)
	if err != nil || there {
		return m, nil, err
	}
	b, err := c.then.Body(e.Body)
	if err != nil {
		return m, nil, err
	}
	in, ok := c.Past.InPack(b)
	m.Body = &command.RestoredBody{ID: b.ID, Encoded: b.Encoded, Layout: b.Layout, Extract: e.Extract, Arrived: b.Arrived}
	if ok && in.Len == b.Encoded && c.group() == c.Past.Group() && c.PackLives(c.Past.Group(), in.Pack) {
		m.Body.Pack, m.Body.Off = in.Pack, in.Off
		return m, nil, nil
	}
	return m, &b, nil
}

// rekey wraps the message's key for the account it comes to, where its conversations
// are others.
func (c *committer) rekey(m *command.RestoredMessage) error {
	key, err := c.Rekey.UnwrapMessage(m.Email, m.Key)
	if err != nil {
		return err
	}
	m.Key, m.Tokens = c.key.WrapMessage(m.Email, key), nil
	return nil
}

// has reports whether the account has a message's content now.
func (c *committer) has(id rookery.EmailID) (bool, error) {
	now, err := c.Into.View()
	if err != nil {
		return false, err
	}
	defer now.Close()
	_, err = now.Email(id)
	if rookery.Is(err, rookery.KindNotFound) {
		return false, nil
	}
	return err == nil, err
}

// group is the one that the account is in now.
func (c *committer) group() rookery.GroupID {
	now, err := c.Into.View()
	if err != nil {
		return 0
	}
	defer now.Close()
	return now.Group()
}

// alone sends one message with the bytes of its body: in the command, or in chunks
// before it.
func (c *committer) alone(b *Box, m command.RestoredMessage, body *mailbox.Body) error {
	r := &command.Restore{Messages: []command.RestoredMessage{m}}
	of := batch{box: b, bytes: int(body.Encoded), size: m.Size}
	if body.Encoded <= command.MaxChunk {
		r.Payload = make([]byte, body.Encoded)
		if err := c.Past.ReadBody(c.ctx, c.Live, *body, r.Payload, 0); err != nil {
			return err
		}
		return c.send(of, r)
	}
	stage, done := c.Stage()
	defer done()
	parts := uint32(0)
	for off := int64(0); off < body.Encoded; parts++ {
		p := make([]byte, min(body.Encoded-off, command.MaxChunk))
		err := c.Past.ReadBody(c.ctx, c.Live, *body, p, off)
		if err == nil {
			_, _, err = c.Into.Apply(c.ctx, &command.Stage{Stage: stage, Part: parts, Payload: p})
		}
		if err != nil {
			return err // the leader drops the chunks of a stage that nobody carries
		}
		off += int64(len(p))
	}
	r.Staged = &command.Staged{Stage: stage, Parts: parts}
	return c.send(of, r)
}
