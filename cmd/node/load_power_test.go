package node

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net"
	"net/smtp"
	"slices"
	"strings"
	"time"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/delivery/spool"
	"rookery/storage/account"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/uidset"
)

// message is the text of an attempt, the same each time it is asked for.
func message(id string, size int) []byte {
	h := fnv.New64a()
	h.Write([]byte(id))
	rng := rand.New(rand.NewPCG(h.Sum64(), 1))
	b := fmt.Appendf(nil, "From: load@example.net\r\nTo: all@%s\r\nSubject: %s\r\nMessage-ID: <%s@example.net>\r\n\r\n", testDomain, id, id)
	noise := make([]byte, 54)
	for len(b) < size {
		for i := range noise {
			noise[i] = byte(rng.Uint32())
		}
		b = append(base64.StdEncoding.AppendEncode(b, noise), '\r', '\n')
	}
	return b
}

// someSize is mostly small, sometimes several chunks, and sometimes so large
// that the body travels in entries of its own.
func someSize(rng *rand.Rand) int {
	switch rng.IntN(12) {
	case 0:
		return 400<<10 + rng.IntN(300<<10)
	case 1, 2:
		return 60<<10 + rng.IntN(140<<10)
	default:
		return rng.IntN(6 << 10)
	}
}

// sender sends messages over SMTP until ctx ends, to one person or to all,
// who live in several groups.
type sender struct {
	ledger *ledger
	addr   string
	rng    *rand.Rand
}

func (s *sender) run(ctx context.Context) error {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return ended(ctx, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c, err := smtp.NewClient(conn, "localhost")
	for err == nil {
		err = s.send(c)
	}
	return ended(ctx, err)
}

func (s *sender) send(c *smtp.Client) error {
	a := attempt{size: someSize(s.rng), to: []int{s.rng.IntN(testPeople)}, box: mailbox.Inbox}
	if s.rng.IntN(3) == 0 {
		a.to = s.rng.Perm(testPeople)[:2+s.rng.IntN(testPeople-1)]
	}
	if err := c.Mail("load@example.net"); err != nil {
		return err
	}
	for _, i := range a.to {
		if err := c.Rcpt(login(i)); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	sent := s.ledger.begin(a)
	if _, err := w.Write(message(sent.id, sent.size)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return s.ledger.answer(func() error {
		sent.acked = true
		return nil
	})
}

// ended forgives errors after ctx has ended.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// boxes of the test: INBOX and the first role folders.
var testBoxes = []rookery.MailboxID{mailbox.Inbox, mailbox.Inbox + 1, mailbox.Inbox + 2}

// reader reads accounts as a client does.
type reader struct {
	ledger *ledger
	store  *account.Store
}

// read reads an account in one view; bodies says of which messages the whole
// text is compared with what was sent.
func (r *reader) read(ctx context.Context, p *person, bodies func(id string) bool) (out reading, err error) {
	a, err := r.store.Open(ctx, p.account)
	if err != nil {
		return out, err
	}
	if err := a.Sync(ctx); err != nil {
		return out, err
	}
	v, err := a.View()
	if err != nil {
		return out, err
	}
	defer v.Close()
	out.boxes, out.modseq = map[rookery.MailboxID]boxReading{}, v.Account().ModSeq
	for _, id := range testBoxes {
		if err := r.readBox(ctx, a, v, p, id, bodies, &out); err != nil {
			return out, err
		}
	}
	return out, nil
}

func (r *reader) readBox(ctx context.Context, a *account.Account, v *mailbox.View, p *person, id rookery.MailboxID,
	bodies func(id string) bool, out *reading) error {
	m, err := v.Mailbox(id)
	if err != nil {
		return err
	}
	var rows []mailbox.Row
	if err := v.Rows(id, 1, m.UIDNext, func(row mailbox.Row) bool { rows = append(rows, row); return true }); err != nil {
		return err
	}
	if uids, err := v.UIDs(id); err != nil || uids.Len() != len(rows) || int(m.Messages) != len(rows) {
		return fmt.Errorf("%w: mailbox %d counts %d messages, lists %d UIDs, and has %d rows (%v)", errBroken, id, m.Messages,
			uids.Len(), len(rows), err)
	}
	for _, row := range rows {
		e, err := v.Email(row.Email)
		if err != nil {
			return fmt.Errorf("%w: UID %d: %w", errBroken, row.UID, err)
		}
		x, err := a.Extract(ctx, e)
		if err != nil {
			return fmt.Errorf("%w: UID %d: %w", errBroken, row.UID, err)
		}
		s := seen{x.Envelope.Subject, place{id, row.UID, row.Flags, row.ModSeq}}
		out.rows = append(out.rows, s)
		if bodies(s.id) {
			if err := r.readBody(ctx, a, v, e, s.id); err != nil {
				return fmt.Errorf("%w: UID %d of mailbox %d: %w", errBroken, row.UID, id, err)
			}
		}
	}
	out.boxes[id], err = r.resync(v, p.boxes[id], m)
	return err
}

func (r *reader) readBody(ctx context.Context, a *account.Account, v *mailbox.View, e mailbox.Email, id string) error {
	r.ledger.mu.Lock()
	sent := r.ledger.attempts[id]
	r.ledger.mu.Unlock()
	if sent == nil {
		return fmt.Errorf("%q was never sent", id)
	}
	b, err := a.Body(ctx, v, e)
	if err != nil {
		return err
	}
	defer b.Close()
	got := make([]byte, b.Size())
	if n, err := b.ReadAt(ctx, got, 0); n < len(got) {
		return fmt.Errorf("body of %s: %d of %d bytes: %w", id, n, len(got), err)
	}
	if want := message(id, sent.size); !bytes.HasSuffix(got, want) || int64(len(got)) != e.Size {
		return fmt.Errorf("the body of %s is not what was sent", id)
	}
	return nil
}

// resync brings a client's cache of a mailbox up to date by what changed since
// it was in step (RFC 7162 3.2.5).
func (r *reader) resync(v *mailbox.View, b *box, m mailbox.Mailbox) (boxReading, error) {
	out := boxReading{validity: m.UIDValidity, next: m.UIDNext, high: m.HighestModSeq}
	if b == nil {
		return out, nil
	}
	c, err := v.Changes(m.ID, b.high)
	if err != nil {
		return out, err
	}
	out.complete, out.resynced = c.Complete, maps.Clone(b.cache)
	for _, row := range c.Rows {
		out.resynced[row.UID] = row.Flags
	}
	for uid := range c.Vanished.All() {
		delete(out.resynced, uid)
	}
	return out, nil
}

// client changes one person's mailboxes, one change after the other, until ctx
// ends.
type client struct {
	reader
	p       *person
	deliver *delivery.Deliverer
	rng     *rand.Rand
}

func (c *client) run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := c.look(ctx)
		for i := 0; i < 4 && err == nil && ctx.Err() == nil; i++ {
			err = c.change(ctx)
		}
		if err != nil {
			return ended(ctx, err)
		}
	}
	return nil
}

// look reads the account and makes it what the person knows.
func (c *client) look(ctx context.Context) error {
	r, err := c.read(ctx, c.p, func(string) bool { return c.rng.IntN(20) == 0 })
	if err != nil {
		return err
	}
	return c.ledger.answer(func() error {
		if err := c.ledger.judge(c.p, r, false); err != nil {
			return err
		}
		c.ledger.learn(c.p, r)
		return nil
	})
}

func (c *client) change(ctx context.Context) error {
	a, err := c.store.Open(ctx, c.p.account)
	if err != nil {
		return err
	}
	from := testBoxes[c.rng.IntN(len(testBoxes))]
	ids := c.some(from)
	n := c.rng.IntN(10)
	if len(ids) == 0 || n < 2 {
		return c.append(ctx, a)
	}
	switch {
	case n < 6:
		return c.store_(ctx, a, from, ids)
	case n < 8:
		return c.move(ctx, a, from, ids)
	default:
		return c.expunge(ctx, a, from, ids)
	}
}

// some picks messages of a mailbox: mostly a few, the more the fuller it is.
func (c *client) some(from rookery.MailboxID) (ids []string) {
	for _, id := range slices.Sorted(maps.Keys(c.p.rows)) {
		if c.p.rows[id].box == from && c.rng.IntN(3) == 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

func (c *client) uids(ids []string) uidset.Set {
	var uids []rookery.UID
	for _, id := range ids {
		uids = append(uids, c.p.rows[id].uid)
	}
	return uidset.New(uids...)
}

// ask notes a change before it is asked for.
func (c *client) ask(p pending) {
	c.ledger.mu.Lock()
	defer c.ledger.mu.Unlock()
	if !c.ledger.off {
		c.p.pending = &p
	}
}

// answered takes the answer to the pending change.
func (c *client) answered(err error, modseq rookery.ModSeq, fn func() error) error {
	if err != nil {
		return err
	}
	return c.ledger.answer(func() error {
		c.p.pending = nil
		c.p.modseq = max(c.p.modseq, modseq)
		return fn()
	})
}

// put notes where an answer says that a message is.
func (c *client) put(id string, now place) error {
	b := c.p.boxes[now.box]
	if was, ok := c.p.rows[id]; (!ok || was.box != now.box || was.uid != now.uid) && now.uid <= b.top {
		return fmt.Errorf("%w: %s: UID %d was given after %d", errBroken, id, now.uid, b.top)
	}
	b.top = max(b.top, now.uid)
	c.p.rows[id] = now
	return nil
}

func (c *client) store_(ctx context.Context, a *account.Account, in rookery.MailboxID, ids []string) error {
	flags := command.Flags(c.rng.IntN(1 << 5))
	c.ask(pending{verb: verbStore, ids: ids, flags: flags})
	r, _, err := a.StoreFlags(ctx, command.StoreFlags{Account: a.ID(), Mailbox: in, UIDs: c.uids(ids), Mode: command.StoreReplace,
		Flags: flags})
	return c.answered(err, r.ModSeq, func() error {
		for _, id := range ids {
			if now := c.p.rows[id]; now.flags != flags {
				now.flags, now.modseq = flags, r.ModSeq
				c.put(id, now)
			}
		}
		return nil
	})
}

func (c *client) move(ctx context.Context, a *account.Account, from rookery.MailboxID, ids []string) error {
	to := testBoxes[c.rng.IntN(len(testBoxes))]
	if to == from {
		to = testBoxes[(slices.Index(testBoxes, from)+1)%len(testBoxes)]
	}
	c.ask(pending{verb: verbMove, ids: ids, to: to})
	r, _, err := a.Move(ctx, command.Move{Account: a.ID(), From: from, UIDs: c.uids(ids), To: to})
	return c.answered(err, r.ModSeq, func() error {
		if r.Src.Len() != len(ids) || r.Dst.Len() != len(ids) {
			return fmt.Errorf("%w: MOVE of %d messages moved %v to %v", errBroken, len(ids), r.Src, r.Dst)
		}
		slices.SortFunc(ids, func(x, y string) int { return int(c.p.rows[x].uid) - int(c.p.rows[y].uid) })
		for i, id := range ids {
			now := c.p.rows[id]
			now.box, now.uid, now.modseq = to, r.Dst.At(uint32(i+1)), r.ModSeq
			if err := c.put(id, now); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *client) expunge(ctx context.Context, a *account.Account, in rookery.MailboxID, ids []string) error {
	c.ask(pending{verb: verbExpunge, ids: ids})
	r, _, err := a.Expunge(ctx, command.Expunge{Account: a.ID(), Mailbox: in, UIDs: c.uids(ids), Force: true})
	return c.answered(err, r.ModSeq, func() error {
		if r.UIDs.Len() != len(ids) {
			return fmt.Errorf("%w: EXPUNGE of %d messages took %v", errBroken, len(ids), r.UIDs)
		}
		for _, id := range ids {
			delete(c.p.rows, id)
			c.p.gone[id] = true
		}
		return nil
	})
}

func (c *client) append(ctx context.Context, a *account.Account) error {
	into := testBoxes[c.rng.IntN(len(testBoxes))]
	sent := c.ledger.begin(attempt{size: someSize(c.rng), to: []int{c.p.number}, box: into, flags: command.Flags(c.rng.IntN(1 << 5))})
	spool := c.deliver.Spool(spool.Normalise, 0)
	defer spool.Close()
	if _, err := spool.Write(message(sent.id, sent.size)); err != nil {
		return err
	}
	if err := spool.Finish(); err != nil {
		return err
	}
	c.ask(pending{verb: verbAppend})
	f, err := c.deliver.Append(ctx, a, into, sent.flags, nil, time.Time{}, spool)
	return c.answered(err, f.ModSeq, func() error {
		sent.acked = true
		return c.put(sent.id, place{into, f.UID, sent.flags, f.ModSeq})
	})
}

// imapReads reads a person's INBOX over IMAP: UID and Subject of each message.
func imapReads(conn net.Conn, name string) (map[rookery.UID]string, error) {
	var all bytes.Buffer
	fmt.Fprintf(conn, "a LOGIN %s secret\r\nb EXAMINE INBOX\r\nc UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])\r\nd LOGOUT\r\n", name)
	if _, err := all.ReadFrom(conn); err != nil {
		return nil, err
	}
	out := map[rookery.UID]string{}
	var uid rookery.UID
	for line := range strings.Lines(all.String()) {
		if _, rest, ok := strings.Cut(line, "(UID "); ok && strings.Contains(line, " FETCH ") {
			fmt.Sscan(rest, &uid)
		}
		if subject, ok := strings.CutPrefix(line, "Subject: "); ok {
			out[uid] = strings.TrimSpace(subject)
		}
	}
	for _, tag := range []string{"a OK", "b OK", "c OK"} {
		if !strings.Contains(all.String(), tag) {
			return nil, errors.New("IMAP: " + all.String())
		}
	}
	return out, nil
}
