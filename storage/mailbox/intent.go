package mailbox

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

var intentPart = part{
	Tables: []tables.Table{
		{ID: tableIntent, Name: "intent",
			Owner: tables.OfGroup, Travels: tables.Stays, Archived: tables.InArchive, Restored: tables.Newest, Erased: tables.Kept,
			Key: tables.Exactly(16), Check: tables.Decodes[intentRecord]},
	},
	Handlers: handlers{
		tables.On((*work).intentDone),
	},
}

// Intent is what a delivered message still owes to other groups.
type Intent struct {
	ID    command.IntentID
	Email rookery.EmailID
	Body  Body
	// Extract is the sealed extract, Size the plain size.
	Extract []byte
	Size    int64
	Rest    []command.GroupDeliveries
	// Time is group time of the Deliver, unix nanoseconds.
	Time int64
}

// OpenIntent is an open intent without the message.
type OpenIntent struct {
	ID command.IntentID
	// To are the groups that do not have the message yet.
	To []rookery.GroupID
	// Time is group time of the Deliver, unix nanoseconds.
	Time int64
}

func groupsOf(rest []command.GroupDeliveries) []rookery.GroupID {
	to := make([]rookery.GroupID, len(rest))
	for i, r := range rest {
		to[i] = r.Group
	}
	return to
}

// OpenIntents lists open intents behind an id, in the order of their ids.
func (m *Machine) OpenIntents(after command.IntentID, limit int) (open []OpenIntent, err error) {
	err = m.read(func(r state.Reader) error {
		return scanIntents(r, after, limit, func(id command.IntentID, rec *intentRecord) {
			open = append(open, OpenIntent{ID: id, To: groupsOf(rec.Rest), Time: rec.Time})
		})
	})
	return open, err
}

// Intents lists open intents behind an id with their messages, in the order of
// their ids.
func (m *Machine) Intents(after command.IntentID, limit int) (intents []Intent, err error) {
	err = m.read(func(r state.Reader) error {
		err := scanIntents(r, after, limit, func(id command.IntentID, rec *intentRecord) {
			intents = append(intents, rec.intent(id))
		})
		for i := range intents {
			if err == nil {
				err = intents[i].complete(r)
			}
		}
		return err
	})
	return intents, err
}

// Intent is one open intent. The error is KindNotFound: it has ended.
func (m *Machine) Intent(id command.IntentID) (x Intent, err error) {
	err = m.read(func(r state.Reader) error {
		v, err := r.Get(intentKey(tableIntent, id))
		if err == nil && v == nil {
			err = notFound("intent %x has ended", id)
		}
		if err != nil {
			return err
		}
		var rec intentRecord
		if err := tables.Decode(v, &rec); err != nil {
			return err
		}
		x = rec.intent(id)
		return x.complete(r)
	})
	return x, err
}

func scanIntents(r state.Reader, after command.IntentID, limit int, fn func(command.IntentID, *intentRecord)) error {
	return r.Scan(append(intentKey(tableIntent, after), 0), newKey(tableIntent).End(), func(k, v []byte) (bool, error) {
		if limit--; limit < 0 {
			return false, nil
		}
		var rec intentRecord
		if err := tables.Decode(v, &rec); err != nil {
			return false, err
		}
		fn(command.IntentID(k[1:17]), &rec)
		return true, nil
	})
}

func (rec *intentRecord) intent(id command.IntentID) Intent {
	return Intent{ID: id, Email: rec.Email, Body: Body{ID: rec.Body}, Size: rec.Size, Rest: rec.Rest, Time: rec.Time}
}

// complete reads the message.
func (x *Intent) complete(r state.Reader) (err error) {
	if x.Body, err = readBody(r, x.Body.ID); err != nil {
		return err
	}
	x.Extract, err = r.Get(bodyKey(tableExtract, x.Body.ID))
	return err
}

// IntentEvents is what Events may hear of besides.
type IntentEvents interface {
	// Promised says that a message is owed to other groups.
	Promised(intent command.IntentID, to []rookery.GroupID)
}

// promise stores what a message owes to other groups.
func (w *work) promise(c *command.Deliver, id BodyID) {
	rec := intentRecord{Email: c.Email, Body: id, Size: c.Size, Rest: c.Intent.Rest, Time: w.Time()}
	w.Set(intentKey(tableIntent, c.Intent.ID), tables.Encode(&rec))
	if e, ok := w.m.events.(IntentEvents); ok {
		id, to := c.Intent.ID, groupsOf(rec.Rest)
		w.OnCommit(func() { e.Promised(id, to) })
	}
}

// intentDone strikes a group off an intent; it is idempotent.
func (w *work) intentDone(c *command.IntentDone) (command.Result, error) {
	v := w.Get(intentKey(tableIntent, c.Intent))
	if v == nil {
		return &command.Done{}, nil
	}
	var rec intentRecord
	must(tables.Decode(v, &rec))
	rest := rec.Rest[:0]
	for _, r := range rec.Rest {
		if r.Group != c.Group {
			rest = append(rest, r)
		}
	}
	if rec.Rest = rest; len(rest) > 0 {
		w.Set(intentKey(tableIntent, c.Intent), tables.Encode(&rec))
		return &command.Done{}, nil
	}
	w.Delete(intentKey(tableIntent, c.Intent))
	w.unrefBody(rec.Body)
	return &command.Done{}, nil
}
