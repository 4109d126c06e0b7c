package mailbox

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

var accountPart = part{
	Tables: []tables.Table{
		{ID: tableAccount, Name: "account",
			Owner: tables.OfAccount, Travels: tables.Sealed, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.AtOnce,
			Key: tables.Exactly(0), Check: checkAccount},
	},
	Handlers: handlers{
		tables.On((*work).createAccount),
		tables.On((*work).setQuota),
		tables.On((*work).eraseAccount),
	},
}

func (w *work) createAccount(c *command.CreateAccount) (command.Result, error) {
	if w.Get(accountKey(tableAccount, c.Account)) != nil {
		return &command.AccountResult{}, nil
	}
	if err := missing(w.Tx, c.Account); !rookery.Is(err, rookery.KindNotFound) {
		return nil, err
	}
	if w.Get(mailboxKey(tableGrave, c.Account, 0)) != nil {
		return nil, refuse(rookery.KindConflict, "account %s was erased and is not yet gone", c.Account)
	}
	if w.Get(barredKey(c.Account)) != nil {
		return nil, refuse(rookery.KindConflict, "account %s was erased for ever", c.Account)
	}
	if err := w.checkFloor(c.Key); err != nil {
		return nil, err
	}
	if c.Account == (rookery.AccountID{}) || c.Quota < 0 || len(c.Key) > maxKey || len(c.Roles) > 16 {
		return nil, refuse(rookery.KindInvalid, "the new account has no id, a negative quota, a key that is too long or too many roles")
	}
	roles, err := checkRoles(c.Roles)
	if err != nil {
		return nil, err
	}
	a := w.open(&account{Account: Account{ID: c.Account, Key: c.Key, Quota: c.Quota, Created: w.Time()}, nextMailbox: Inbox})
	a.dirty, a.listed = true, true
	for _, r := range append([]command.Role{{Name: "INBOX"}}, roles...) {
		w.makeMailbox(a, r.Name, r.Attr, c.Validity)
		w.Set(nameKey(tableSubscribe, a.ID, r.Name), nil)
		a.subscriptions++
	}
	return &command.AccountResult{Created: true}, nil
}

// maxKey bounds a wrapped key in bytes.
const maxKey = 4096

// checkRoles gives the role folders with their names as stored. They must
// lie at the top and be distinct.
func checkRoles(roles []command.Role) ([]command.Role, error) {
	seen := map[string]bool{"INBOX": true}
	out := make([]command.Role, 0, len(roles))
	for _, r := range roles {
		name, err := canonical(r.Name)
		if err != nil {
			return nil, err
		}
		if err := checkRole(r.Attr); err != nil {
			return nil, err
		}
		if seen[name] || seen[r.Attr] || Parent(name) != "" {
			return nil, refuse(rookery.KindInvalid, "role folder %q is there twice or below another", name)
		}
		seen[name], seen[r.Attr] = true, true
		out = append(out, command.Role{Name: name, Attr: r.Attr})
	}
	return out, nil
}

// checkRole refuses attributes that no real mailbox can have.
func checkRole(attr string) error {
	switch attr {
	case `\Archive`, `\Drafts`, `\Junk`, `\Sent`, `\Trash`, `\Important`:
		return nil
	}
	return refuse(rookery.KindInvalid, `%.100q is not a role a mailbox can have: \Archive \Drafts \Junk \Sent \Trash \Important`, attr)
}

func (w *work) setQuota(c *command.SetQuota) (command.Result, error) {
	a, err := w.account(c.Account)
	if err != nil {
		return nil, err
	}
	if c.Quota < 0 {
		return nil, refuse(rookery.KindInvalid, "the quota is negative; 0 is unlimited")
	}
	if a.Quota != c.Quota {
		a.Quota = c.Quota
		a.dirty, a.listed = true, true
	}
	return &command.Done{}, nil
}

// eraseAccount takes the account with its key away at once and leaves the
// references its emails hold to the reaper. It is idempotent.
func (w *work) eraseAccount(c *command.EraseAccount) (command.Result, error) {
	if w.Get(accountKey(tableAccount, c.Account)) == nil {
		if err := missing(w.Tx, c.Account); !rookery.Is(err, rookery.KindNotFound) {
			return nil, err
		}
		return &command.Done{}, nil
	}
	delete(w.m.leaving, c.Account) // a move out ends with it
	w.removeRows(c.Account, w.m.atOnce)
	w.wake(c.Account)
	return &command.Done{}, nil
}

// removeRows clears tables of an account and leaves what goes row by row, with
// the references it holds, to the reaper.
func (w *work) removeRows(id rookery.AccountID, from []*tables.Table) {
	for _, t := range from {
		w.Clear(accountKey(t.ID, id))
	}
	w.dig(id, 0, &grave{Time: w.Time()})
	w.m.hot.forget(id)
	w.OnCommit(func() { w.m.cache.forget(id) })
}
