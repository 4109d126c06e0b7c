package mailbox

import (
	"strings"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
	"rookery/storage/uidset"
)

var folderPart = part{
	Tables: []tables.Table{
		{ID: tableMailbox, Name: "mailbox",
			Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.WithAccount, Erased: tables.AtOnce,
			Key: tables.Exactly(4), Check: checkBox},
		{ID: tableCounters, Name: "counters of a mailbox",
			Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.WithAccount, Erased: tables.AtOnce,
			Key: tables.Exactly(4), Check: checkCounters},
		{ID: tableName, Name: "mailbox by name",
			Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.WithAccount, Erased: tables.AtOnce,
			Key: tables.Size{Min: 1, Max: MaxName}, Check: tables.Length(4)},
		{ID: tableSubscribe, Name: "subscribed name",
			Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.WithAccount, Erased: tables.AtOnce,
			Key: tables.Size{Min: 1, Max: MaxName}, Check: tables.Length(0)},
		{ID: tableRemoved, Name: "deleted mailbox",
			Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.AtOnce,
			Key: tables.Exactly(8), Check: tables.Length(4)},
	},
	Handlers: handlers{
		tables.On((*work).createMailbox),
		tables.On((*work).deleteMailbox),
		tables.On((*work).renameMailbox),
		tables.On((*work).subscribe),
	},
}

func (w *work) createMailbox(c *command.CreateMailbox) (command.Result, error) {
	a, err := w.account(c.Account)
	if err != nil {
		return nil, err
	}
	name, err := canonical(c.Name)
	if err != nil {
		return nil, err
	}
	if w.byName(a, name) != 0 {
		return nil, refuse(rookery.KindExists, "mailbox %q exists already", name)
	}
	if c.Role != "" {
		if err := w.roleFree(a, c.Role); err != nil {
			return nil, err
		}
	}
	parents := w.missingParents(a, name)
	if err := a.roomForMailboxes(len(parents) + 1); err != nil {
		return nil, err
	}
	if c.Subscribe && a.subscriptions >= MaxSubscriptions {
		return nil, refuse(rookery.KindLimit, "the account has %d subscriptions, at most that many", a.subscriptions)
	}
	for _, p := range parents {
		w.makeMailbox(a, p, "", c.Validity)
	}
	x := w.makeMailbox(a, name, c.Role, c.Validity)
	if c.Subscribe {
		w.setSubscribed(a, name, true)
	}
	return &command.MailboxResult{Mailbox: x.ID, UIDValidity: x.UIDValidity, Name: name}, nil
}

// roleFree refuses a role that is unknown or taken (RFC 6154 3, USEATTR).
func (w *work) roleFree(a *openAccount, role string) error {
	if err := checkRole(role); err != nil {
		return err
	}
	if id := w.byRole(a, role); id != 0 {
		x, err := w.box(a, id)
		must(err)
		return refuse(rookery.KindExists, "mailbox %q has the role %s already", x.Name, role)
	}
	return nil
}

// byRole finds the mailbox that has a role; 0 where none has it.
func (w *work) byRole(a *openAccount, role string) (id rookery.MailboxID) {
	w.Scan(accountKey(tableMailbox, a.ID), func(k, v []byte) bool {
		var b box
		must(b.decode(v))
		if b.Role == role {
			id = rookery.MailboxID(tables.U32At(k, 17))
		}
		return id == 0
	})
	return id
}

// missingParents lists the names above name that have no mailbox, top first.
func (w *work) missingParents(a *openAccount, name string) (missing []string) {
	for i := range len(name) {
		if name[i] == '/' && w.byName(a, name[:i]) == 0 {
			missing = append(missing, name[:i])
		}
	}
	return missing
}

// roomForMailboxes refuses where n more mailboxes would be too many or could
// get no id or UIDVALIDITY.
func (a *openAccount) roomForMailboxes(n int) error {
	if int(a.mailboxes)+n > MaxMailboxes {
		return refuse(rookery.KindLimit, "the account has %d mailboxes, at most %d", a.mailboxes, MaxMailboxes)
	}
	if uint64(a.validity)+uint64(n) > 0xffffffff || uint64(a.nextMailbox)+uint64(n) > 0xffffffff {
		return refuse(rookery.KindLimit, "the account has used up its UIDVALIDITY values")
	}
	return nil
}

// validityCeiling keeps a broken proposal from using up the values: it is
// the year 2096.
const validityCeiling = 4_000_000_000

// makeMailbox creates a mailbox; all checks come before it.
func (w *work) makeMailbox(a *openAccount, name, role string, proposed uint32) *openBox {
	a.validity++
	if proposed <= validityCeiling {
		a.validity = max(a.validity, proposed)
	}
	id := a.nextMailbox
	a.nextMailbox++
	a.mailboxes++
	a.listed = true
	s := a.modseq()
	x := a.open(&box{Mailbox: Mailbox{ID: id, Name: name, Role: role, UIDValidity: rookery.UIDValidity(a.validity), UIDNext: 1,
		HighestModSeq: s, Changed: s, Created: w.Time()}, uidsModSeq: s, floor: s})
	x.meta, x.counters = true, true
	w.Set(nameKey(tableName, a.ID, name), key(nil).U32(uint32(id)))
	return x
}

func (w *work) deleteMailbox(c *command.DeleteMailbox) (command.Result, error) {
	a, err := w.account(c.Account)
	if err != nil {
		return nil, err
	}
	name, err := canonical(c.Name)
	if err != nil {
		return nil, err
	}
	if name == "INBOX" {
		return nil, refuse(rookery.KindDenied, "INBOX cannot be deleted")
	}
	id := w.byName(a, name)
	if id == 0 {
		if len(w.inferiors(a, name)) > 0 {
			return nil, refuse(rookery.KindDenied, "%q is no mailbox, only a name above others; delete those", name)
		}
		return nil, refuse(rookery.KindNotFound, "mailbox %q does not exist", name)
	}
	x, err := w.box(a, id)
	if err != nil {
		return nil, err
	}
	s := a.modseq()
	x.removed = true
	a.mailboxes--
	a.UsedBytes -= x.Size
	a.UsedMessages -= uint64(x.Messages)
	a.listed = true
	w.Delete(nameKey(tableName, a.ID, name))
	w.Delete(mailboxKey(tableMailbox, a.ID, id))
	w.Delete(mailboxKey(tableCounters, a.ID, id))
	w.Clear(mailboxKey(tableChange, a.ID, id))
	w.Clear(mailboxKey(tableTombstone, a.ID, id))
	w.recordRemoved(a, s, id)
	w.dig(a.ID, id, &grave{Name: name, Time: w.Time(), ModSeq: s, Keywords: x.Keywords})
	m := w.m
	w.OnCommit(func() {
		m.cache.drop(a.ID, id)
		if m.events != nil {
			m.events.Changed(a.ID, id, s)
		}
	})
	return &command.Done{}, nil
}

// maxRemoved bounds the tombstones of mailboxes in an account.
const maxRemoved = 1000

// recordRemoved leaves a mailbox's tombstone and drops the oldest.
func (w *work) recordRemoved(a *openAccount, s rookery.ModSeq, id rookery.MailboxID) {
	w.Set(accountKey(tableRemoved, a.ID).U64(uint64(s)), key(nil).U32(uint32(id)))
	if a.removed++; a.removed <= maxRemoved {
		return
	}
	var old key
	w.Scan(accountKey(tableRemoved, a.ID), func(k, _ []byte) bool {
		old = append(key(nil), k...)
		return false
	})
	w.Delete(old)
	a.removed--
	a.removedFloor = rookery.ModSeq(tables.U64At(old, 17))
}

func (w *work) renameMailbox(c *command.RenameMailbox) (command.Result, error) {
	a, err := w.account(c.Account)
	if err != nil {
		return nil, err
	}
	from, err := canonical(c.From)
	if err != nil {
		return nil, err
	}
	to, err := canonical(c.To)
	if err != nil {
		return nil, err
	}
	if w.byName(a, to) != 0 {
		return nil, refuse(rookery.KindExists, "mailbox %q exists already", to)
	}
	if from == "INBOX" {
		return w.renameInbox(a, to, c.Validity)
	}
	id, below := w.byName(a, from), w.inferiors(a, from)
	if id == 0 && len(below) == 0 {
		return nil, refuse(rookery.KindNotFound, "mailbox %q does not exist", from)
	}
	if strings.HasPrefix(to, from+"/") {
		return nil, refuse(rookery.KindInvalid, "mailbox %q cannot move below itself", from)
	}
	for _, n := range below {
		moved, err := canonical(to + n[len(from):])
		if err != nil {
			return nil, err
		}
		if w.byName(a, moved) != 0 {
			return nil, refuse(rookery.KindExists, "mailbox %q exists already", moved)
		}
	}
	return w.moveNames(a, from, to, id, below, c.Validity)
}

// moveNames gives a mailbox and its inferiors their new names; ids and
// UIDVALIDITY stay.
func (w *work) moveNames(a *openAccount, from, to string, id rookery.MailboxID, below []string, validity uint32) (command.Result, error) {
	parents := w.missingParents(a, to)
	if err := a.roomForMailboxes(len(parents)); err != nil {
		return nil, err
	}
	s := a.modseq()
	names := below
	if id != 0 {
		names = append([]string{from}, below...)
	}
	for _, n := range names {
		x, err := w.box(a, w.byName(a, n))
		must(err)
		w.Delete(nameKey(tableName, a.ID, n))
		x.Name = to + n[len(from):]
		x.Changed = s
		x.meta = true
		w.Set(nameKey(tableName, a.ID, x.Name), key(nil).U32(uint32(x.ID)))
	}
	for _, p := range parents {
		w.makeMailbox(a, p, "", validity)
	}
	a.listed = true
	w.moveSubscriptions(a, from, to)
	result := &command.MailboxResult{Mailbox: id, Name: to}
	if x := a.boxes[id]; x != nil {
		result.UIDValidity = x.UIDValidity
	}
	return result, nil
}

// moveSubscriptions lets subscriptions follow a RENAME.
func (w *work) moveSubscriptions(a *openAccount, from, to string) {
	names := w.below(tableSubscribe, a, from)
	if w.Get(nameKey(tableSubscribe, a.ID, from)) != nil {
		names = append(names, from)
	}
	for _, n := range names {
		w.setSubscribed(a, n, false)
		w.setSubscribed(a, to+n[len(from):], true)
	}
}

// renameInbox makes a new mailbox of INBOX's messages; INBOX, its inferiors
// and its subscription stay (RFC 9051 6.3.6).
func (w *work) renameInbox(a *openAccount, to string, validity uint32) (command.Result, error) {
	inbox, err := w.box(a, Inbox)
	if err != nil {
		return nil, err
	}
	if inbox.Messages > maxRenameInbox {
		return nil, refuse(rookery.KindLimit, "INBOX has %d messages, at most %d can be renamed at once; move some first",
			inbox.Messages, maxRenameInbox)
	}
	parents := w.missingParents(a, to)
	if err := a.roomForMailboxes(len(parents) + 1); err != nil {
		return nil, err
	}
	for _, p := range parents {
		w.makeMailbox(a, p, "", validity)
	}
	x := w.makeMailbox(a, to, "", validity)
	all, _ := w.rows(a, inbox, uidset.Range(1, 0xffffffff), maxRenameInbox, nil)
	w.transfer(a, inbox, x, all, true)
	return &command.MailboxResult{Mailbox: x.ID, UIDValidity: x.UIDValidity, Name: to}, nil
}

// maxRenameInbox bounds the messages a RENAME of INBOX moves: the group
// stands still meanwhile.
const maxRenameInbox = 20000

func (w *work) subscribe(c *command.Subscribe) (command.Result, error) {
	a, err := w.account(c.Account)
	if err != nil {
		return nil, err
	}
	name, err := canonical(c.Name)
	if err != nil {
		return nil, err
	}
	known := w.Get(nameKey(tableSubscribe, a.ID, name)) != nil
	if c.On && !known && a.subscriptions >= MaxSubscriptions {
		return nil, refuse(rookery.KindLimit, "the account has %d subscriptions, at most that many", a.subscriptions)
	}
	w.setSubscribed(a, name, c.On)
	return &command.Done{}, nil
}

func (w *work) setSubscribed(a *openAccount, name string, on bool) {
	k := nameKey(tableSubscribe, a.ID, name)
	if (w.Get(k) != nil) == on {
		return
	}
	if on {
		w.Set(k, nil)
		a.subscriptions++
	} else {
		w.Delete(k)
		a.subscriptions--
	}
	a.modseq()
	a.listed = true
}
