package pop3

import (
	"rookery"
)

// responses has what -ERR says for every kind, with the response codes of RFC
// 2449 8.1 and RFC 3206. Doubt is temporary, and never a wrong password.
var responses = map[rookery.Kind]string{
	rookery.KindUnknown:     "[SYS/TEMP] The outcome is not certain, try again later",
	rookery.KindInvalid:     "Malformed request",
	rookery.KindNotFound:    "No such message; it may have been removed meanwhile",
	rookery.KindExists:      "[SYS/TEMP] Something else was there, try again",
	rookery.KindDenied:      "[SYS/PERM] Not permitted",
	rookery.KindCredentials: "[AUTH] Wrong user name or password",
	rookery.KindDisabled:    "[AUTH] The account is disabled",
	rookery.KindOverQuota:   "[SYS/PERM] The mailbox is full",
	rookery.KindTooLarge:    "[SYS/PERM] Too large",
	rookery.KindLimit:       "[SYS/TEMP] Too much at once, try again later",
	rookery.KindConflict:    "[SYS/TEMP] Something changed meanwhile, try again",
	rookery.KindUnavailable: "[SYS/TEMP] The service is not available, try again later",
	rookery.KindDamaged:     "[SYS/PERM] The message is damaged; the operator has been told",
	rookery.KindMoved:       "[SYS/TEMP] The mailbox is being moved, try again",
}

// fail answers an error.
func (c *conn) fail(err error) {
	text, ok := responses[rookery.KindOf(err)]
	if !ok {
		text = responses[rookery.KindUnknown]
	}
	c.err("%s", text)
}
