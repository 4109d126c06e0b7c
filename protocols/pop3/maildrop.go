package pop3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"rookery"
	"rookery/storage/account"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/message"
	"rookery/storage/uidset"
)

// maildrop is what a session needs of a mailbox.
type maildrop interface {
	// list gives the messages there are, oldest first, without those marked
	// \Deleted.
	list(ctx context.Context) (listing, error)
	// message opens a message: KindNotFound where it was expunged meanwhile.
	message(ctx context.Context, uid rookery.UID) (opened, error)
	// remove expunges messages; those already gone are no error.
	remove(ctx context.Context, uids uidset.Set) error
	// rest gives up what is held between commands.
	rest()
}

// listing is the mailbox as it was at sign-in: eight bytes a message.
type listing struct {
	validity rookery.UIDValidity
	messages []entry
	// ids are the unique ids that came with imported messages.
	ids map[rookery.UID]string
}

type entry struct {
	uid  rookery.UID
	size uint32 // in bytes; MaxUint32 where it is more
}

// uidl is a message's unique id (RFC 1939 7): the imported one, or one that no
// other message of the mailbox ever has.
func (l *listing) uidl(uid rookery.UID) string {
	if id, ok := l.ids[uid]; ok {
		return id
	}
	return fmt.Sprintf("%d.%d", l.validity, uid)
}

// opened is an open message.
type opened interface {
	size() int64
	// header is the header block with its blank line, if it has one; false
	// where it is not known whole.
	header(ctx context.Context) ([]byte, bool, error)
	// write writes the message from an offset on.
	write(ctx context.Context, w io.Writer, off int64) error
	close()
}

// openInbox opens an account's maildrop.
func (s *Server) openInbox(ctx context.Context, id rookery.AccountID) (maildrop, error) {
	a, err := s.o.Accounts.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	// A session sees everything acknowledged before it began.
	if err := a.Sync(ctx); err != nil {
		return nil, err
	}
	return &inbox{account: a}, nil
}

// inbox is an account's INBOX as a maildrop.
type inbox struct {
	account *account.Account
	id      rookery.MailboxID
	view    *mailbox.View // kept over pipelined commands
}

func (b *inbox) rest() {
	if b.view != nil {
		b.view.Close()
		b.view = nil
	}
}

func (b *inbox) look() (*mailbox.View, error) {
	if b.view == nil {
		v, err := b.account.View()
		if err != nil {
			return nil, err
		}
		b.view = v
	}
	return b.view, nil
}

func (b *inbox) list(context.Context) (listing, error) {
	v, err := b.look()
	if err != nil {
		return listing{}, err
	}
	m, err := v.ByName("INBOX")
	if err != nil {
		return listing{}, err
	}
	b.id = m.ID
	l := listing{validity: m.UIDValidity, messages: make([]entry, 0, m.Messages)}
	err = v.Rows(m.ID, 1, math.MaxUint32, func(r mailbox.Row) bool {
		if r.Flags.Has(command.FlagDeleted) {
			return true
		}
		l.messages = append(l.messages, entry{r.UID, uint32(min(r.Size, math.MaxUint32))})
		if r.UIDL != "" {
			if l.ids == nil {
				l.ids = make(map[rookery.UID]string)
			}
			l.ids[r.UID] = r.UIDL
		}
		return true
	})
	return l, err
}

func (b *inbox) message(ctx context.Context, uid rookery.UID) (opened, error) {
	v, err := b.look()
	if err != nil {
		return nil, err
	}
	row, err := v.Row(b.id, uid)
	if err != nil {
		return nil, err
	}
	e, err := v.Email(row.Email)
	if err != nil {
		return nil, err
	}
	return &stored{account: b.account, view: v, email: e}, nil
}

func (b *inbox) remove(ctx context.Context, uids uidset.Set) error {
	b.rest()
	_, _, err := b.account.Expunge(ctx, command.Expunge{Mailbox: b.id, UIDs: uids, Force: true})
	return err
}

// stored is a message of an inbox. It lives for one command.
type stored struct {
	account *account.Account
	view    *mailbox.View
	email   mailbox.Email
	reader  *body.Reader
}

func (s *stored) size() int64 { return s.email.Size }

func (s *stored) header(ctx context.Context) ([]byte, bool, error) {
	x, err := s.account.Extract(ctx, s.email)
	if err != nil {
		return nil, false, err
	}
	return x.Header, !x.HeaderTruncated, nil
}

func (s *stored) write(ctx context.Context, w io.Writer, off int64) error {
	if s.reader == nil {
		r, err := s.account.Body(ctx, s.view, s.email)
		if err != nil {
			return err
		}
		s.reader = r
	}
	if off >= s.email.Size {
		return nil
	}
	n, err := s.reader.WriteSection(ctx, w, message.Section{Offset: off, Len: s.email.Size - off})
	if err == nil && n != s.email.Size-off {
		err = rookery.E("read message", rookery.KindDamaged, errors.New("the body is shorter than the message"))
	}
	return err
}

func (s *stored) close() {
	if s.reader != nil {
		s.reader.Close()
	}
}
