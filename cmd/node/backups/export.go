package backups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"rookery"
	"rookery/backup/past"
	"rookery/cmd/node/adminapi"
	"rookery/internal/plural"
	"rookery/storage/body"
	"rookery/storage/keys"
	"rookery/storage/mailbox"
	"rookery/storage/message"
)

// Bounds of an export.
const (
	// maxExportReason bounds why somebody reads the mail of others, in bytes.
	maxExportReason = 500
	// readAhead is how much of a body is fetched at once, in bytes: each fetch may be a
	// request to the object store.
	readAhead = 1 << 20
	// awayInARow is after how many messages, one behind the other, whose store does not
	// answer an export ends: it would lack what the next attempt has.
	awayInARow = 5
)

// Export tells of the messages that an account had at a time, folder by folder, as
// adminapi.ExportEvents: it returns when event has taken all of them. At most a chunk of
// a message and readAhead of its body are in memory, and none is on the disk in plain
// text. A message that cannot be read is told of and left out. Errors: those of Past;
// KindInvalid, there is no reason; KindNotFound, there was no such folder;
// KindUnavailable, the store does not answer; the error of event.
func (s *Service) Export(ctx context.Context, id rookery.AccountID, o adminapi.ExportOrder, event func(any) error) (sum string, err error) {
	const op = "export"
	if reason := strings.TrimSpace(o.Reason); reason == "" || len(reason) > maxExportReason {
		return "", rookery.E(op, rookery.KindInvalid,
			fmt.Errorf("a reason of at most %d bytes is needed to read mail of others", maxExportReason))
	}
	if o.Folder != "" {
		if o.Folder, err = mailbox.CheckName(o.Folder); err != nil {
			return "", err
		}
	}
	p, err := s.Past(ctx, id, o.At)
	if err != nil {
		return "", err
	}
	defer p.Close()
	account, err := s.o.Accounts.Open(ctx, id)
	if err != nil {
		return "", err
	}
	v, err := p.View()
	if err != nil {
		return "", err
	}
	defer v.Close()
	x := exporting{s: s, ctx: ctx, p: p, v: v, event: event}
	if x.key, err = account.Key(ctx); err != nil {
		return "", err
	}
	boxes, err := x.begin(&o)
	if err != nil {
		return "", err
	}
	for _, m := range boxes {
		if err := x.mailbox(m); err != nil {
			return "", rookery.E(op, 0, fmt.Errorf("it ended after %s: %w", x.sum(), err))
		}
	}
	return x.sum(), nil
}

// exporting is an Export under way.
type exporting struct {
	s     *Service
	ctx   context.Context
	p     *past.Past
	v     *mailbox.View
	key   *keys.AccountKey
	event func(any) error
	// buf has what was fetched of bodies.
	buf []byte

	messages, unread, away int
	bytes                  int64
}

func (x *exporting) sum() string {
	return fmt.Sprintf("%s, %d bytes, and %d that could not be read", plural.Of(x.messages, "message"), x.bytes, x.unread)
}

// begin picks the mailboxes, and says how much is in them.
func (x *exporting) begin(o *adminapi.ExportOrder) (picked []mailbox.Mailbox, err error) {
	boxes, err := x.v.Mailboxes()
	if err != nil {
		return nil, err
	}
	b := adminapi.ExportBegin{At: o.At.UTC()}
	for _, m := range boxes {
		if o.Folder != "" && m.Name != o.Folder && !strings.HasPrefix(m.Name, o.Folder+"/") {
			continue
		}
		picked = append(picked, m)
		b.Mailboxes++
		b.Messages += int(m.Messages)
		b.Bytes += m.Size
	}
	if len(picked) == 0 && o.Folder != "" {
		return nil, rookery.E("export", rookery.KindNotFound, fmt.Errorf("the folder %q was not in the account then", o.Folder))
	}
	return picked, x.event(adminapi.ExportEvent{Begin: &b})
}

func (x *exporting) mailbox(m mailbox.Mailbox) (err error) {
	rerr := x.v.Rows(m.ID, 1, m.UIDNext, func(r mailbox.Row) bool {
		if err = x.ctx.Err(); err == nil {
			err = x.message(m.Name, r)
		}
		return err == nil
	})
	return errors.Join(err, rerr)
}

// message tells of one message. Its error ends the export.
func (x *exporting) message(name string, r mailbox.Row) error {
	if err := x.event(adminapi.ExportEvent{Message: &adminapi.ExportedMessage{Mailbox: name, UID: uint32(r.UID), Email: r.Email.String(),
		Flags: r.Flags.Names(), Keywords: r.Keywords, Date: time.Unix(r.InternalDate, 0).UTC(), Size: r.Size}}); err != nil {
		return err
	}
	out := parts{event: x.event}
	err := x.content(r, &out)
	switch {
	case err == nil:
		x.messages++
		x.bytes += r.Size
		x.away = 0
		return nil
	case out.failed != nil:
		return out.failed
	case x.ctx.Err() != nil:
		return x.ctx.Err()
	case !rookery.Is(err, rookery.KindUnavailable):
		x.away = 0
	default:
		if x.away++; x.away == awayInARow {
			return err
		}
	}
	x.unread++
	return x.event(adminapi.ExportEvent{Unread: &adminapi.UnreadMessage{Mailbox: name, UID: uint32(r.UID), Email: r.Email.String(),
		Error: err.Error()}})
}

// content hands on the text of a message.
func (x *exporting) content(r mailbox.Row, to io.Writer) error {
	e, err := x.v.Email(r.Email)
	if err != nil {
		return err
	}
	in, err := readerOf(x.v, x.key, e, x.fetch)
	if err != nil {
		return err
	}
	defer in.Close()
	if in.Size() != r.Size {
		return rookery.E("read message", rookery.KindDamaged, fmt.Errorf("it has %d bytes, and its record says %d", in.Size(), r.Size))
	}
	_, err = in.WriteSection(x.ctx, to, message.Section{Len: in.Size()})
	return err
}

// fetch reads a body in few requests: as it is read from its begin to its end, what
// comes next is fetched with what is asked for.
func (x *exporting) fetch(b mailbox.Body) body.Only {
	from, end := int64(0), int64(0) // what of the body x.buf has
	return func(ctx context.Context, p []byte, off int64) error {
		to := off + int64(len(p))
		if off < from || to > end {
			n := max(min(readAhead, b.Encoded-off), int64(len(p)))
			if int64(cap(x.buf)) < n {
				x.buf = make([]byte, max(n, readAhead))
			}
			from, end = 0, 0
			if err := x.p.ReadBody(ctx, x.s.o.Live, b, x.buf[:n], off); err != nil {
				return err
			}
			from, end = off, off+n
		}
		copy(p, x.buf[off-from:to-from])
		return nil
	}
}

// parts sends what is written to it, and remembers that it could not: the reader is not
// at fault then.
type parts struct {
	event  func(any) error
	failed error
}

func (p *parts) Write(b []byte) (int, error) {
	if p.failed = p.event(adminapi.ExportEvent{Part: b}); p.failed != nil {
		return 0, p.failed
	}
	return len(b), nil
}
