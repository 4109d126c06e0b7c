package mailbox

import (
	"rookery"
	"rookery/storage/command"
	"rookery/storage/state"
	"rookery/storage/tables"
)

// Email is a message's content. The error is KindNotFound.
func (v *View) Email(id rookery.EmailID) (Email, error) {
	table := accountKey(tableEmail, v.account.ID)
	value, err := v.emails.get(v.snap, emailKey(v.account.ID, id), table, table.End())
	if err != nil {
		return Email{}, err
	}
	if value == nil {
		return Email{}, notFound("message content %s does not exist; it may have been purged", id)
	}
	e, err := decodeEmail(value)
	if err != nil {
		return Email{}, err
	}
	extract, err := v.extracts.get(v.snap, bodyKey(tableExtract, e.body), key{tableExtract}, key{tableExtract + 1})
	return Email{
		ID: id, Thread: e.thread, Size: e.size, Tokens: e.tokens, Key: e.key, Extract: extract, Body: e.body, Group: v.Group(),
	}, err
}

// Group is the group that the view is of: BodyIDs are its own.
func (v *View) Group() rookery.GroupID { return v.m.group.ID() }

// Body is an encoded body and where it lies. The error is KindNotFound.
func (v *View) Body(id BodyID) (Body, error) { return readBody(v.snap, id) }

func readBody(r state.Reader, id BodyID) (Body, error) {
	value, err := r.Get(bodyKey(tableBody, id))
	if err != nil {
		return Body{}, err
	}
	if value == nil {
		return Body{}, notFound("body %d does not exist; its last message may have been purged", id)
	}
	x, err := decodeBody(id, value)
	if err != nil {
		return Body{}, err
	}
	return x.Body, nil
}

// Expunged lists the recoverable list from behind after on, in the order of
// expunging, at most limit entries. Rows of a large deleted mailbox enter the
// list little by little.
func (v *View) Expunged(after command.ExpungedID, limit int) ([]Expunged, error) {
	var out []Expunged
	from := append(expungedKey(v.account.ID, after), 0)
	err := v.snap.Scan(from, accountKey(tableExpunged, v.account.ID).End(), func(k, value []byte) (bool, error) {
		if len(out) >= limit {
			return false, nil
		}
		var rec expungedRecord
		if err := tables.Decode(value, &rec); err != nil {
			return false, err
		}
		var r row
		if err := decodeRow(rec.Row, &r); err != nil {
			return false, err
		}
		id := expungedIDAt(k, 17)
		out = append(out, Expunged{ExpungedID: id, Mailbox: rec.Mailbox, Name: rec.Name, Time: rec.Time, Row: r.view(id.UID, rec.Keywords)})
		return true, nil
	})
	return out, err
}
