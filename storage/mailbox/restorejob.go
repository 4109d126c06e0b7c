package mailbox

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var restorePart = part{
	Tables: []tables.Table{
		{ID: tableRestore, Name: "restore of an account",
			Owner: tables.OfAccount, Travels: tables.Copied, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.AtOnce,
			Key: tables.Exactly(16), Check: tables.Decodes[RestoreJob]},
	},
	Handlers: handlers{
		tables.On((*work).beginRestore),
		tables.On((*work).restore),
		tables.On((*work).endRestore),
	},
}

// keptRestores is how many restores of an account are remembered when they have ended.
const keptRestores = 10

// RestoreJob is a restore of an account.
type RestoreJob struct {
	Account rookery.AccountID `cbor:"-"`
	ID      command.RestoreID `cbor:"-"`
	Spec    []byte            `cbor:"1,keyasint,omitempty"`
	By      string            `cbor:"2,keyasint,omitempty"`
	// Began and Ended are group time, unix nanoseconds; Ended is 0 while it runs.
	Began   int64                  `cbor:"3,keyasint,omitempty"`
	Ended   int64                  `cbor:"4,keyasint,omitempty"`
	Outcome command.RestoreOutcome `cbor:"5,keyasint,omitempty"`
	Text    string                 `cbor:"6,keyasint,omitempty"`
	// Messages and Bytes are what it has filed.
	Messages uint64 `cbor:"7,keyasint,omitempty"`
	Bytes    int64  `cbor:"8,keyasint,omitempty"`
	// Source and UID are the last mailbox and message of then that were filed.
	Source rookery.MailboxID `cbor:"9,keyasint,omitempty"`
	UID    rookery.UID       `cbor:"10,keyasint,omitempty"`
}

// filed is how many of the messages were filed before.
func (j *RestoreJob) filed(c *command.Restore) (n int) {
	if c.Source < j.Source {
		return len(c.Messages)
	}
	for c.Source == j.Source && n < len(c.Messages) && c.Messages[n].SourceUID <= j.UID {
		n++
	}
	return n
}

func restoreKey(a rookery.AccountID, job command.RestoreID) key {
	return append(accountKey(tableRestore, a), job[:]...)
}

func decodeRestore(k, v []byte) (j RestoreJob, err error) {
	err = tables.Decode(v, &j)
	j.Account, j.ID = rookery.AccountID(k[1:17]), command.RestoreID(k[17:33])
	return j, err
}

// restores are an account's, those that have ended too.
func (w *work) restores(id rookery.AccountID) (all []RestoreJob) {
	w.Scan(accountKey(tableRestore, id), func(k, v []byte) bool {
		j, err := decodeRestore(k, v)
		must(err)
		all = append(all, j)
		return true
	})
	return all
}

// restoring reports whether a restore of the account runs.
func (w *work) restoring(id rookery.AccountID) bool {
	for _, j := range w.restores(id) {
		if j.Ended == 0 {
			return true
		}
	}
	return false
}

func (w *work) beginRestore(c *command.BeginRestore) (command.Result, error) {
	if c.Job == (command.RestoreID{}) || len(c.Spec) > command.MaxRestoreSpec || len(c.By) > command.MaxRestoreBy {
		return nil, refuse(rookery.KindInvalid, "a restore without an id, or with a description that is too long")
	}
	if _, err := w.account(c.Account); err != nil {
		return nil, err
	}
	if w.Get(restoreKey(c.Account, c.Job)) != nil {
		return &command.Done{}, nil
	}
	if w.moving(c.Account) != nil {
		return nil, refuse(rookery.KindConflict, "account %s is moving to another group: restore it when it has arrived", c.Account)
	}
	var ended []RestoreJob
	for _, j := range w.restores(c.Account) {
		if j.Ended == 0 {
			return nil, refuse(rookery.KindConflict, "account %s is being restored already (restore %s): wait until that has ended, or cancel it",
				c.Account, j.ID)
		}
		ended = append(ended, j)
	}
	for len(ended) >= keptRestores {
		oldest := 0
		for i := range ended {
			if ended[i].Ended < ended[oldest].Ended {
				oldest = i
			}
		}
		w.Delete(restoreKey(c.Account, ended[oldest].ID))
		ended = append(ended[:oldest], ended[oldest+1:]...)
	}
	w.Set(restoreKey(c.Account, c.Job), tables.Encode(&RestoreJob{Spec: c.Spec, By: c.By, Began: w.Time()}))
	return &command.Done{}, nil
}

func (w *work) endRestore(c *command.EndRestore) (command.Result, error) {
	if c.Outcome < command.RestoreDone || c.Outcome > command.RestoreCancelled || len(c.Text) > command.MaxRestoreText {
		return nil, refuse(rookery.KindInvalid, "a restore cannot end so")
	}
	k := restoreKey(c.Account, c.Job)
	v := w.Get(k)
	if v == nil {
		return nil, refuse(rookery.KindNotFound, "there is no restore %s of account %s", c.Job, c.Account)
	}
	j, err := decodeRestore(k, v)
	must(err)
	if j.Ended == 0 {
		j.Ended, j.Outcome, j.Text = w.Time(), c.Outcome, c.Text
		w.Set(k, tables.Encode(&j))
	}
	return &command.Done{}, nil
}

// Restores lists the restores of the group's accounts behind one, those that have ended
// too, in the order of accounts: all of an account or none, and no further account once
// there are limit.
func (m *Machine) Restores(after rookery.AccountID, limit int) (all []RestoreJob, err error) {
	err = m.read(func(r state.Reader) error {
		all, err = readRestores(r, accountKey(tableRestore, after).End(), newKey(tableRestore).End(), limit)
		return err
	})
	return all, err
}

// Restores lists those of the account.
func (v *View) Restores() ([]RestoreJob, error) {
	k := accountKey(tableRestore, v.account.ID)
	return readRestores(v.snap, k, k.End(), keptRestores)
}

func readRestores(r state.Reader, from, to []byte, limit int) (all []RestoreJob, err error) {
	err = r.Scan(from, to, func(k, v []byte) (bool, error) {
		j, err := decodeRestore(k, v)
		if n := len(all); err != nil || n >= limit && (n == 0 || all[n-1].Account != j.Account) {
			return false, err
		}
		all = append(all, j)
		return true, nil
	})
	return all, err
}
