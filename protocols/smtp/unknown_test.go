package smtp

import (
	"testing"

	"rookery/directory"
	"rookery/protocols/delivery"
)

// TestUnknownRecipientsOverBudgetAreTemporary: not looked up, they count among
// those that end the connection, and known ones are accepted meanwhile.
func TestUnknownRecipientsOverBudgetAreTemporary(t *testing.T) {
	r := newRig(t, MX, func(o *Options) {
		o.Limits.Unknown = 4
		o.Router.(*delivery.Router).Directory = directory.NewCache(&people{},
			directory.CacheOptions{Strangers: directory.Budget{Burst: 2, Rate: 0.0001}})
	})
	c := r.dial()
	c.hello()
	c.do("MAIL FROM:<>", "250 ")
	c.do("RCPT TO:<anna@example.com>", "250 ")
	c.do("RCPT TO:<n1@example.com>", "550 ")
	c.do("RCPT TO:<n2@example.com>", "550 ")
	c.do("RCPT TO:<n3@example.com>", "451 4.7.0 ")
	c.do("RCPT TO:<n1@example.com>", "421 4.7.0 ")
	c.closed()
	c = r.dial()
	c.hello()
	c.do("MAIL FROM:<>", "250 ")
	c.do("RCPT TO:<anna@example.com>", "250 ")
}
