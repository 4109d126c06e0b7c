package pop3

import (
	"rookery"
	"rookery/protocols/signin"
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
	rookery.KindDisabled:    "[AUTH] Wrong user name or password",
	rookery.KindOverQuota:   "[SYS/PERM] The mailbox is full",
	rookery.KindTooLarge:    "[SYS/PERM] Too large",
	rookery.KindLimit:       "[SYS/TEMP] Too much at once, try again later",
	rookery.KindConflict:    "[SYS/TEMP] Something changed meanwhile, try again",
	rookery.KindUnavailable: "[SYS/TEMP] The service is not available, try again later",
	rookery.KindDamaged:     "[SYS/PERM] The message is damaged; the operator has been told",
	rookery.KindMoved:       "[SYS/TEMP] The mailbox is being moved, try again",
}

// refusals has what -ERR says after a right password, by its cause.
var refusals = map[signin.Cause]string{
	signin.Disabled:  "[AUTH] The account is disabled; ask your administrator",
	signin.Expired:   "[AUTH] The password has expired and must be changed first",
	signin.Forbidden: "[AUTH] The account may not sign in now, or not from here",
	signin.Locked:    "[AUTH] The account is locked after too many wrong passwords",
}

// fail answers an error.
func (c *conn) fail(err error) {
	text, ok := responses[rookery.KindOf(err)]
	if !ok {
		text = responses[rookery.KindUnknown]
	}
	if told, ok := refusals[signin.Told(err)]; ok {
		text = told
	}
	c.err("%s", text)
}
