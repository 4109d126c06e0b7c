package imap

import (
	"context"
	"slices"
	"strings"

	"rookery"
	"rookery/protocols/imap/wire"
	"rookery/storage/mailbox"
)

// statusFamily holds STATUS (RFC 9051 6.3.11) with the items of RFC 7162,
// 8438, 8474, 7889 and 9208.
func statusFamily() family {
	return family{commands: []*cmd{define("STATUS", signedIn, tellAll, parseStatus, (*session).runStatus)}}
}

// statusItem names one number of a mailbox.
type statusItem string

type statusArgs struct {
	name  string
	items []statusItem
}

func parseStatus(s *session, l *wire.Lexer) statusArgs {
	var a statusArgs
	l.SP()
	a.name = s.mailboxName(l)
	l.SP()
	a.items = parseStatusItems(l)
	l.End()
	return a
}

func parseStatusItems(l *wire.Lexer) []statusItem {
	var items []statusItem
	l.Byte('(')
	for l.OK() && !l.Accept(')') {
		l.Accept(' ')
		item := strings.ToUpper(l.Atom())
		switch item {
		case "MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN", "DELETED", "SIZE", "HIGHESTMODSEQ",
			"MAILBOXID", "APPENDLIMIT", "DELETED-STORAGE":
			items = append(items, statusItem(item))
		default:
			l.Syntax("the STATUS item %.40s is unknown", item)
		}
		if len(items) > 30 {
			l.Syntax("STATUS names more than 30 items")
		}
	}
	return items
}

func (s *session) runStatus(ctx context.Context, a statusArgs) error {
	p, v, m, err := s.find(ctx, a.name)
	if err != nil {
		return err
	}
	defer v.Close()
	if slices.Contains(a.items, "HIGHESTMODSEQ") {
		s.enableModSeqs()
	}
	return s.writeStatus(v, p.store.ID(), m, a.items)
}

func (s *session) writeStatus(v View, of rookery.AccountID, m mailbox.Mailbox, items []statusItem) error {
	w := s.out
	w.Text("* STATUS ")
	s.writeName(m.Name)
	w.Text(" (")
	for i, item := range items {
		if i > 0 {
			w.Byte(' ')
		}
		w.Text(string(item)).Byte(' ')
		switch item {
		case "MESSAGES":
			w.Uint(uint64(m.Messages))
		case "RECENT":
			w.Uint(0)
		case "UIDNEXT":
			w.Uint(uint64(m.UIDNext))
		case "UIDVALIDITY":
			w.Uint(uint64(m.UIDValidity))
		case "UNSEEN":
			w.Uint(uint64(m.Unseen))
		case "DELETED":
			w.Uint(uint64(m.Deleted))
		case "SIZE":
			w.Uint(uint64(m.Size))
		case "HIGHESTMODSEQ":
			w.Uint(uint64(m.HighestModSeq))
		case "MAILBOXID":
			w.Byte('(').Text(m.ID.ObjectID(of)).Byte(')')
		case "APPENDLIMIT":
			w.Uint(uint64(s.srv.o.Deliver.MaxSize()))
		case "DELETED-STORAGE":
			w.Uint(uint64(deletedStorage(v, m)))
		}
	}
	w.Text(")\r\n")
	return nil
}

// deletedStorage sums the sizes of messages marked \Deleted (RFC 9208 4.1.4).
func deletedStorage(v View, m mailbox.Mailbox) (n int64) {
	if m.Deleted == 0 {
		return 0
	}
	v.Rows(m.ID, 1, m.UIDNext, func(r mailbox.Row) bool {
		if r.Flags&flagDeleted != 0 {
			n += r.Size
		}
		return true
	})
	return n
}
