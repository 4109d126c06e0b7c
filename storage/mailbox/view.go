package mailbox

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"rookery"
	"rookery/storage/state"
	"rookery/storage/tables"
)

// View reads one account at one instant. It lives for one protocol command,
// serves one goroutine, and must be closed.
type View struct {
	m       *Machine
	snap    *state.Snap
	epoch   uint64 // of the cache, when the view was opened
	account *account
	boxes   map[rookery.MailboxID]*box

	emails, extracts walk
}

// View opens a view of an account: everything applied so far and nothing
// later. The error is KindNotFound where the account is not in this group,
// KindMoved where it is on its way to another or has gone there.
func (m *Machine) View(id rookery.AccountID) (*View, error) {
	v := &View{m: m, epoch: m.cache.generation(), snap: m.group.Read()}
	b, err := v.snap.Get(accountKey(tableAccount, id))
	if err == nil && b == nil {
		err = missing(v.snap, id)
	}
	if err == nil {
		v.account, err = decodeAccount(id, b)
	}
	if err != nil {
		v.snap.Close()
		return nil, err
	}
	return v, nil
}

func notFound(format string, args ...any) error {
	return rookery.E("read mailbox", rookery.KindNotFound, fmt.Errorf(format, args...))
}

// Close ends the view. It may be called twice.
func (v *View) Close() {
	v.emails.close()
	v.extracts.close()
	v.snap.Close()
}

// Account is the account itself.
func (v *View) Account() Account { return v.account.Account }

// box loads a mailbox once.
func (v *View) box(id rookery.MailboxID) (*box, error) {
	if b := v.boxes[id]; b != nil {
		return b, nil
	}
	b, err := readBox(v.snap, v.account.ID, id)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, notFound("mailbox %d does not exist; it may have been deleted", id)
	}
	if v.boxes == nil {
		v.boxes = make(map[rookery.MailboxID]*box, 1)
	}
	v.boxes[id] = b
	return b, nil
}

// Mailbox is a mailbox by id. The error is KindNotFound.
func (v *View) Mailbox(id rookery.MailboxID) (Mailbox, error) {
	b, err := v.box(id)
	if err != nil {
		return Mailbox{}, err
	}
	return b.Mailbox, nil
}

// ByName is a mailbox by name, as a client wrote it. The error is KindNotFound,
// or KindInvalid for what cannot be a name.
func (v *View) ByName(name string) (Mailbox, error) {
	name, err := CheckName(name)
	if err != nil {
		return Mailbox{}, err
	}
	id, err := v.snap.Get(nameKey(tableName, v.account.ID, name))
	if err != nil {
		return Mailbox{}, err
	}
	if len(id) != 4 {
		return Mailbox{}, notFound("mailbox %q does not exist", name)
	}
	return v.Mailbox(rookery.MailboxID(tables.U32At(id, 0)))
}

// Mailboxes lists the account's mailboxes: INBOX first, then by name. Names
// above others may have no mailbox, see Implied.
func (v *View) Mailboxes() ([]Mailbox, error) {
	var all []Mailbox
	k := accountKey(tableMailbox, v.account.ID)
	err := v.snap.Scan(k, k.End(), func(k, value []byte) (bool, error) {
		b := box{Mailbox: Mailbox{ID: rookery.MailboxID(tables.U32At(k, 17))}}
		err := b.decode(value)
		all = append(all, b.Mailbox)
		return true, err
	})
	if err != nil {
		return nil, err
	}
	k = accountKey(tableCounters, v.account.ID)
	i := 0
	err = v.snap.Scan(k, k.End(), func(k, value []byte) (bool, error) {
		if i >= len(all) || uint32(all[i].ID) != tables.U32At(k, 17) {
			return false, damaged("mailbox counters")
		}
		b := box{Mailbox: all[i]}
		err := b.decodeCounters(value)
		all[i] = b.Mailbox
		i++
		return true, err
	})
	if err != nil {
		return nil, err
	}
	if i != len(all) {
		return nil, damaged("mailbox counters")
	}
	slices.SortFunc(all, func(a, b Mailbox) int {
		if a.ID == Inbox || b.ID == Inbox {
			return cmp.Compare(a.ID, b.ID)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all, nil
}

// Subscriptions lists the subscribed names, sorted; a name need not have a
// mailbox.
func (v *View) Subscriptions() ([]string, error) {
	var names []string
	k := accountKey(tableSubscribe, v.account.ID)
	err := v.snap.Scan(k, k.End(), func(k, _ []byte) (bool, error) {
		names = append(names, string(k[17:]))
		return true, nil
	})
	return names, err
}

// Removed lists the mailboxes deleted after a MODSEQ; complete is false where
// older deletions are no longer known.
func (v *View) Removed(since rookery.ModSeq) (ids []rookery.MailboxID, complete bool, err error) {
	k := accountKey(tableRemoved, v.account.ID)
	err = v.snap.Scan(append(slices.Clone(k), key(nil).U64(uint64(since)+1)...), k.End(), func(_, value []byte) (bool, error) {
		ids = append(ids, rookery.MailboxID(tables.U32At(value, 0)))
		return true, nil
	})
	return ids, since >= v.account.removedFloor, err
}
