package account

import (
	"rookery"
	"rookery/storage/mailbox"
)

// bodyIn finds a body in the group that its message was read in: in another the
// same id is another body.
func (a *Account) bodyIn(v *mailbox.View, e mailbox.Email) (mailbox.Body, error) {
	m := a.store.o.Machine(e.Group)
	switch {
	case m == nil:
		return mailbox.Body{}, errAway
	case v != nil && v.Group() == e.Group:
		return v.Body(e.Body)
	}
	return m.Body(e.Body)
}

// bodyNow finds a message's body where the account is now.
func (a *Account) bodyNow(id rookery.EmailID) (b mailbox.Body, group rookery.GroupID, err error) {
	v, err := a.View()
	if err != nil {
		return b, 0, err
	}
	defer v.Close()
	e, err := v.Email(id)
	if err == nil {
		b, err = v.Body(e.Body)
	}
	return b, v.Group(), err
}
