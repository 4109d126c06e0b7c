package delivery

import (
	"fmt"
	"time"

	"rookery"
	"rookery/protocols/listen"
	"rookery/storage/command"
)

// RateError is in the chain where an account has sent to as many recipients in
// other systems as it may in an hour.
type RateError struct {
	Again time.Time // when it may again
}

// Error implements error.
func (e *RateError) Error() string {
	return fmt.Sprintf("the account has sent to as many recipients in other systems as it may in an hour; it goes again at %s",
		e.Again.UTC().Format(time.RFC3339))
}

// rate has what a user sends to other systems counted.
func (o *outgoing) rate(item *command.Item) {
	if o.rates == nil || !o.r.Submitted || o.r.Sender == (rookery.AccountID{}) {
		return
	}
	var domain string
	if from, err := rookery.ParseAddress(o.r.From); err == nil {
		domain = from.Domain
	}
	if r := o.rates(domain); r != (command.Rate{}) {
		item.Rate = &r
	}
}

// unusual logs that what a user sends is held until an administrator has looked.
func (d *Deliverer) unusual(r Request, res *command.DeliverResult) {
	if res.Unusual {
		d.o.Logger.Warn("an account sends far more to other systems than is usual for it; what it sends there is held", "account", r.Sender,
			"from", listen.ForLog(r.From), "id", r.ID)
	}
}
