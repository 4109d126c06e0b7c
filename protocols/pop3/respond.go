package pop3

import (
	"strings"

	"rookery"
	"rookery/protocols/listen"
	"rookery/protocols/proxy"
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
	c.session.note(text, err)
	c.err("%s", text)
}

// note logs what was refused for another cause than the command itself. Sign-ins
// are logged by package signin.
func (s *session) note(text string, err error) {
	if s.name == "PASS" || s.name == "AUTH" || rookery.Is(err, rookery.KindNotFound) || rookery.Is(err, rookery.KindInvalid) {
		return
	}
	s.logRefusal(text, text, err)
}

// logRefusal logs a refusal, once; text begins with the response code.
func (s *session) logRefusal(text, why string, err error) {
	code := ""
	if len(text) > 0 && text[0] == '[' {
		code, _, _ = strings.Cut(text[1:], "]")
	}
	listen.Refusal{
		Protocol: proxy.POP3, Session: s.c.id, Client: s.c.ip, User: s.login, Command: s.name, Code: code, Why: why,
		Deferred: strings.HasPrefix(code, "SYS/TEMP"), Err: err,
	}.Log(s.c.server.o.Logger)
}
