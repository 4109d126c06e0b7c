package imap

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/delivery/spool"
	"rookery/protocols/imap/wire"
	"rookery/storage/account"
	"rookery/storage/body"
	"rookery/storage/command"
	"rookery/storage/mailbox"
	"rookery/storage/message"
	"rookery/storage/uidset"
)

// Store is a set of mailboxes that a session can list, select and read: the
// account's own, and others mounted below a name. One that is a Changer as
// well can be written to; every other is read-only. It may be remote: each
// method may fail with KindUnavailable. It is used concurrently.
type Store interface {
	// ID is the account whose mailboxes these are; MAILBOXID derives from it.
	ID() rookery.AccountID
	// Sync makes the next View show all that was acknowledged anywhere.
	Sync(ctx context.Context) error
	View() (View, error)
	// Header and Extract open what was extracted from a message, Header no
	// more than the header block where that is cheaper.
	Header(ctx context.Context, e mailbox.Email) (*message.Extract, error)
	Extract(ctx context.Context, e mailbox.Email) (*message.Extract, error)
	// Body opens the whole message, which v shows.
	Body(ctx context.Context, v View, e mailbox.Email) (*body.Reader, error)
	// WatchFunc calls fn for each change of a mailbox until the watch is closed.
	WatchFunc(m rookery.MailboxID, fn func()) *account.Watch
}

// View is a Store at one moment, as *mailbox.View has it. Close it soon.
type View interface {
	Close()
	Account() mailbox.Account
	Mailboxes() ([]mailbox.Mailbox, error)
	Mailbox(id rookery.MailboxID) (mailbox.Mailbox, error)
	ByName(name string) (mailbox.Mailbox, error)
	UIDs(id rookery.MailboxID) (mailbox.UIDs, error)
	Rows(id rookery.MailboxID, from, to rookery.UID, fn func(mailbox.Row) bool) error
	RowsIn(id rookery.MailboxID, uids mailbox.UIDs, fn func(mailbox.Row) bool) error
	Changes(id rookery.MailboxID, since rookery.ModSeq) (mailbox.Changes, error)
	Email(id rookery.EmailID) (mailbox.Email, error)
}

// Changer is a Store that takes changes, as *account.Account has them.
type Changer interface {
	Store
	CreateMailbox(ctx context.Context, c command.CreateMailbox) (command.MailboxResult, rookery.LogIndex, error)
	DeleteMailbox(ctx context.Context, c command.DeleteMailbox) (rookery.LogIndex, error)
	RenameMailbox(ctx context.Context, c command.RenameMailbox) (rookery.LogIndex, error)
	StoreFlags(ctx context.Context, c command.StoreFlags) (command.StoreResult, rookery.LogIndex, error)
	Expunge(ctx context.Context, c command.Expunge) (command.ExpungeResult, rookery.LogIndex, error)
	Copy(ctx context.Context, c command.Copy) (command.CopyResult, rookery.LogIndex, error)
	Move(ctx context.Context, c command.Move) (command.CopyResult, rookery.LogIndex, error)
	// Check says whether a message of so many octets has room.
	Check(ctx context.Context, size int64) error
	// Append files a message as delivery.Deliverer.Append does.
	Append(ctx context.Context, into rookery.MailboxID, flags command.Flags, keywords []string, date time.Time,
		spool *spool.Spool) (delivery.Filed, error)
}

// Mount is a Store whose mailboxes are listed below a name, "/" between.
type Mount struct {
	// Name is "Backups", or a name below "Other Users" (RFC 2342's namespace
	// of other users). Where the user has a mailbox of that first level, the
	// mount's first level gets a number behind it.
	Name  string
	Store Store
}

// reserved are the first levels that belong to mounts.
var reserved = []string{"Backups", "Other Users"}

// firstLevel is a name up to its first separator.
func firstLevel(name string) string {
	first, _, _ := strings.Cut(name, "/")
	return first
}

// ownStore is the account's own mailboxes.
type ownStore struct {
	*account.Account
	deliver *delivery.Deliverer
}

func (o *ownStore) View() (View, error) {
	v, err := o.Account.View()
	if err != nil {
		return nil, err // not a nil *mailbox.View in an interface
	}
	return v, nil
}

func (o *ownStore) Body(ctx context.Context, v View, e mailbox.Email) (*body.Reader, error) {
	own, _ := v.(*mailbox.View)
	return o.Account.Body(ctx, own, e)
}

func (o *ownStore) Check(ctx context.Context, size int64) error {
	return o.deliver.Check(ctx, o.ID(), size)
}

// Copy makes no second body, but rows on every disk.
func (o *ownStore) Copy(ctx context.Context, c command.Copy) (command.CopyResult, rookery.LogIndex, error) {
	if err := o.deliver.Room(); err != nil {
		return command.CopyResult{}, 0, err
	}
	return o.Account.Copy(ctx, c)
}

func (o *ownStore) Append(ctx context.Context, into rookery.MailboxID, flags command.Flags, keywords []string, date time.Time,
	spool *spool.Spool) (delivery.Filed, error) {
	return o.deliver.Append(ctx, o.Account, into, flags, keywords, date, spool)
}

// open takes the account, and what is mounted beside it, for the session.
func (s *session) open(ctx context.Context, a *account.Account) error {
	s.own = &ownStore{a, s.srv.o.Deliver}
	if s.srv.o.Mounts == nil {
		return nil
	}
	mounts, err := s.srv.o.Mounts(ctx, a.ID())
	s.mounts = mounts
	return err
}

// place is where a mailbox name leads: a store, the mailbox's name in it, and
// what stands before that for the client, with a separator at its end.
type place struct {
	store  Store
	name   string
	prefix string
}

// place resolves a name of the client's. After a barrier of the account it is
// exact; only sessions with mounts look.
func (s *session) place(name string) (place, error) {
	if len(s.mounts) == 0 || !strings.Contains(name, "/") {
		return place{store: s.own, name: name}, nil
	}
	all, err := s.mounted()
	if err != nil {
		return place{}, err
	}
	for _, m := range all {
		if rest, ok := strings.CutPrefix(name, m.prefix); ok {
			if m.name = rest; wire.Fold(rest, "INBOX") {
				m.name = "INBOX"
			}
			return m, nil
		}
	}
	return place{store: s.own, name: name}, nil
}

// mounted gives the mounts with the prefixes they have now: the account's own
// mailboxes win.
func (s *session) mounted() ([]place, error) {
	if len(s.mounts) == 0 {
		return nil, nil
	}
	taken, err := s.firstLevels()
	if err != nil {
		return nil, err
	}
	all := make([]place, len(s.mounts))
	for i, m := range s.mounts {
		first := firstLevel(m.Name)
		free := first
		for n := 2; slices.Contains(taken, free); n++ {
			free = first + " " + utoa(uint64(n))
		}
		all[i] = place{store: m.Store, prefix: free + strings.TrimPrefix(m.Name, first) + "/"}
	}
	return all, nil
}

// firstLevels are those of the account's own mailboxes.
func (s *session) firstLevels() ([]string, error) {
	v, err := s.own.View()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	boxes, err := v.Mailboxes()
	var all []string
	for i := range boxes {
		all = append(all, firstLevel(boxes[i].Name))
	}
	return all, err
}

var errReadOnlyStore = no("NOPERM", "These mailboxes can be read and copied from, not changed")

// changer is the place's store, where it takes changes.
func (p place) changer() (Changer, error) {
	if c, ok := p.store.(Changer); ok {
		return c, nil
	}
	return nil, errReadOnlyStore
}

// free refuses to make a mailbox at a first level that is kept for mounts,
// unless the user has it already.
func (s *session) free(ctx context.Context, name string) error {
	first := firstLevel(name)
	if !slices.ContainsFunc(reserved, func(r string) bool { return strings.HasPrefix(first, r) }) {
		return nil
	}
	kept := slices.Contains(reserved, first)
	all, err := s.mounted()
	for _, m := range all {
		kept = kept || firstLevel(m.prefix) == first
	}
	if err != nil || !kept {
		return err
	}
	if err := s.barrier(ctx); err != nil {
		return err
	}
	taken, err := s.firstLevels()
	if err != nil || slices.Contains(taken, first) {
		return err
	}
	return no("CANNOT", "The name %s is kept for mailboxes of the server; choose another one", cleanText(clip(first, 60)))
}

// find resolves a name to its mailbox as it is now on every node (G2). The
// caller closes the view. The mailbox has the client's name.
func (s *session) find(ctx context.Context, name string) (place, View, mailbox.Mailbox, error) {
	v, err := s.viewOf(ctx, s.own)
	if err != nil {
		return place{}, nil, mailbox.Mailbox{}, err
	}
	p, err := s.place(name)
	if err == nil && p.prefix != "" {
		v.Close()
		if v, err = s.viewOf(ctx, p.store); err != nil {
			return p, nil, mailbox.Mailbox{}, err
		}
	}
	if err != nil {
		v.Close()
		return p, nil, mailbox.Mailbox{}, err
	}
	m, err := v.ByName(p.name)
	if err != nil {
		v.Close()
		return p, nil, m, err
	}
	m.Name = name
	return p, v, m, nil
}

// viewOf syncs a store and looks at it.
func (s *session) viewOf(ctx context.Context, st Store) (View, error) {
	ctx, cancel := context.WithTimeout(ctx, s.srv.limits.Run)
	defer cancel()
	if err := st.Sync(ctx); err != nil {
		return nil, err
	}
	v, err := st.View()
	if err != nil {
		return nil, atSignIn(err)
	}
	return v, nil
}

// copyAcross files messages of the selected mailbox in a mailbox of another
// store, all or none: what was filed is removed when one fails.
func (s *session) copyAcross(ctx context.Context, to Changer, into rookery.MailboxID, uids mailbox.UIDs) (r command.CopyResult, err error) {
	if uids.Len() > account.MaxCopy {
		return r, no("LIMIT", "A copy to another store takes at most %d messages; copy in several steps", account.MaxCopy)
	}
	var src, dst uidset.Builder
	defer func() {
		r.Src, r.Dst = src.Set(), dst.Set()
		if err != nil && !r.Dst.Empty() {
			// The client's time may be over: that must not leave half a COPY.
			_, _, e := to.Expunge(context.WithoutCancel(ctx), command.Expunge{Mailbox: into, UIDs: r.Dst, Force: true})
			if e != nil {
				s.logger().Warn("IMAP could not take back the copies of a COPY that failed", "error", e)
			}
		}
	}()
	for uid := range uids.All() {
		filed, ok, err := s.copyOne(ctx, to, into, uid)
		if err != nil {
			return r, err
		}
		if ok {
			r.UIDValidity = filed.UIDValidity
			src.Add(uid)
			dst.Add(filed.UID)
		}
	}
	return r, nil
}

// copyOne files one message; ok is false where it is gone.
func (s *session) copyOne(ctx context.Context, to Changer, into rookery.MailboxID, uid rookery.UID) (f delivery.Filed, ok bool, err error) {
	row, rd, err := s.openOne(ctx, uid)
	if err != nil || rd == nil {
		return f, false, err
	}
	defer rd.Close()
	spool := s.srv.o.Deliver.Spool(spool.Normalise, 0)
	defer spool.Close()
	if _, err := io.Copy(spool, rd.Section(ctx, message.Section{Len: rd.Size()})); err != nil {
		return f, false, err
	}
	if err := spool.Finish(); err != nil {
		return f, false, err
	}
	f, err = to.Append(ctx, into, row.Flags, row.Keywords, time.Unix(row.InternalDate, 0), spool)
	return f, err == nil, err
}

// openOne opens a message of the selected mailbox; nil where it is gone.
func (s *session) openOne(ctx context.Context, uid rookery.UID) (row mailbox.Row, rd *body.Reader, err error) {
	v, err := s.sel.store.View()
	if err != nil {
		return row, nil, err
	}
	defer v.Close()
	found := false
	err = v.RowsIn(s.sel.id, uidset.Range(uid, uid), func(r mailbox.Row) bool {
		row, found = r, true
		return false
	})
	if err != nil || !found {
		return row, nil, err
	}
	e, err := v.Email(row.Email)
	if err == nil {
		rd, err = s.sel.store.Body(ctx, v, e)
	}
	return row, rd, notMailbox(err)
}
