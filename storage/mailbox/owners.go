package mailbox

import (
	"maps"
	"slices"

	"rookery"
	"rookery/storage/state"
	"rookery/storage/tables"
)

// Owner is whose mail a body is.
type Owner struct {
	Body    BodyID
	Account rookery.AccountID
	Email   rookery.EmailID
	// Key is the message key, wrapped by the account's key.
	Key []byte
	// Places are where the message is filed; none: it is in the list of
	// recoverable messages only.
	Places []Place
}

// Place is a message in a mailbox.
type Place struct {
	Mailbox rookery.MailboxID
	Name    string
	UID     rookery.UID
}

// Owners finds whose mail some bodies are, in the order of accounts. It looks
// through all emails of the group and the messages of the accounts concerned. A
// body may have several owners, or none while it waits to be passed on to other
// groups.
func (m *Machine) Owners(bodies map[BodyID]bool) (owners []Owner, err error) {
	if len(bodies) == 0 {
		return nil, nil
	}
	err = m.read(func(r state.Reader) error {
		err := r.Scan(newKey(tableEmail), newKey(tableEmail).End(), func(k, v []byte) (bool, error) {
			e, err := decodeEmail(v)
			if err == nil && bodies[e.body] {
				owners = append(owners, Owner{Body: e.body, Account: rookery.AccountID(k[1:17]), Email: rookery.EmailID(k[17:]),
					Key: slices.Clone(e.key)})
			}
			return true, err
		})
		for from := 0; from < len(owners) && err == nil; {
			to := from + 1
			for to < len(owners) && owners[to].Account == owners[from].Account {
				to++
			}
			err = findPlaces(r, owners[from:to])
			from = to
		}
		return err
	})
	return owners, err
}

// findPlaces looks for the messages of one account's owners.
func findPlaces(r state.Reader, owners []Owner) error {
	account := owners[0].Account
	of := make(map[rookery.EmailID]*Owner, len(owners))
	for i := range owners {
		of[owners[i].Email] = &owners[i]
	}
	names := map[rookery.MailboxID]string{}
	k := accountKey(tableRow, account)
	err := r.Scan(k, k.End(), func(k, v []byte) (bool, error) {
		var w row
		if err := decodeRow(v, &w); err != nil {
			return false, err
		}
		if o := of[w.email]; o != nil {
			id := rookery.MailboxID(tables.U32At(k, 17))
			names[id] = ""
			o.Places = append(o.Places, Place{Mailbox: id, UID: rookery.UID(tables.U32At(k, 21))})
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, id := range slices.Collect(maps.Keys(names)) {
		v, err := r.Get(mailboxKey(tableMailbox, account, id))
		if err != nil {
			return err
		}
		b := box{Mailbox: Mailbox{ID: id}}
		if v == nil {
			continue // deleted; its rows go little by little
		}
		if err := b.decode(v); err != nil {
			return err
		}
		names[id] = b.Name
	}
	for i := range owners {
		for j := range owners[i].Places {
			owners[i].Places[j].Name = names[owners[i].Places[j].Mailbox]
		}
	}
	return nil
}
