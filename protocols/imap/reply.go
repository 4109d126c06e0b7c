package imap

import (
	"errors"
	"fmt"

	"rookery"
	"rookery/protocols/imap/wire"
	"rookery/protocols/signin"
)

// reply is a status response: OK, NO, BAD or BYE with an optional code. As an
// error it ends a command.
type reply struct {
	status string
	code   string // without brackets
	text   string
}

func (r *reply) Error() string { return r.status + " " + r.text }

func no(code, format string, args ...any) *reply {
	return &reply{"NO", code, fmt.Sprintf(format, args...)}
}

func bad(format string, args ...any) *reply {
	return &reply{"BAD", "", fmt.Sprintf(format, args...)}
}

// kindReplies is the one table from a kind of error to the response code
// (RFC 9051 7.1, RFC 5530, RFC 9208). The outcome is always NO: the command
// was well formed. What is doubtful is temporary (UNAVAILABLE).
var kindReplies = map[rookery.Kind]struct{ code, text string }{
	rookery.KindUnknown:     {"UNAVAILABLE", "The server cannot tell whether this was done; try again later"},
	rookery.KindInvalid:     {"CANNOT", "The server cannot do this"},
	rookery.KindNotFound:    {"NONEXISTENT", "There is no such mailbox"},
	rookery.KindExists:      {"ALREADYEXISTS", "A mailbox of that name exists already"},
	rookery.KindDenied:      {"NOPERM", "This is not allowed"},
	rookery.KindCredentials: {"AUTHENTICATIONFAILED", "The user name or the password is wrong"},
	rookery.KindDisabled:    {"AUTHENTICATIONFAILED", "The user name or the password is wrong"},
	rookery.KindOverQuota:   {"OVERQUOTA", "The mailbox is full"},
	rookery.KindTooLarge:    {"TOOBIG", "This is too large"},
	rookery.KindLimit:       {"LIMIT", "A limit has been reached"},
	rookery.KindConflict:    {"INUSE", "The mailbox has changed meanwhile; try again"},
	rookery.KindUnavailable: {"UNAVAILABLE", "The service is temporarily unavailable; try again later"},
	rookery.KindDamaged:     {"SERVERBUG", "The stored message fails its checks"},
	rookery.KindMoved:       {"UNAVAILABLE", "The mailbox is being moved; try again"},
}

// refusals has what is told after a right password (RFC 5530), by its cause.
var refusals = map[signin.Cause]struct{ code, text string }{
	signin.Disabled:  {"CONTACTADMIN", "The account is disabled; ask your administrator"},
	signin.Expired:   {"EXPIRED", "The password has expired and must be changed first"},
	signin.Forbidden: {"AUTHORIZATIONFAILED", "The account may not sign in now, or not from here"},
	signin.Locked:    {"CONTACTADMIN", "The account is locked after too many wrong passwords"},
}

// replyTo turns a command's error into its tagged reply. Texts of errors that
// are the client's business go out; what failed inside stays in the log.
func replyTo(err error) *reply {
	var r *reply
	if errors.As(err, &r) {
		return r
	}
	var syntax *wire.SyntaxError
	if errors.As(err, &syntax) {
		return &reply{"BAD", "", syntax.Text}
	}
	var big *wire.TooBigError
	if errors.As(err, &big) {
		return &reply{"BAD", "TOOBIG", big.Text}
	}
	kind := rookery.KindOf(err)
	row := kindReplies[kind]
	if told, ok := refusals[signin.Told(err)]; ok {
		row = told
	}
	text := row.text
	switch kind {
	case rookery.KindInvalid, rookery.KindLimit, rookery.KindDenied, rookery.KindTooLarge:
		text = cleanText(reason(err))
	}
	return &reply{"NO", row.code, text}
}

// reason is the innermost explanation of an error.
func reason(err error) string {
	for {
		var e *rookery.Error
		if !errors.As(err, &e) || e.Err == nil {
			return err.Error()
		}
		err = e.Err
	}
}

// cleanText makes a text fit for a status response: one line of ASCII.
func cleanText(s string) string {
	b := []byte(s)
	if len(b) > 300 {
		b = b[:300]
	}
	for i, c := range b {
		if c < 0x20 || c >= 0x7f {
			b[i] = '?'
		}
	}
	if len(b) == 0 || b[0] == '[' {
		return "Failed: " + string(b)
	}
	return string(b)
}

// withMailboxKind gives the errors of commands whose target mailbox is missing
// the code TRYCREATE (RFC 9051 6.3.12).
func tryCreate(err error) error {
	if rookery.Is(err, rookery.KindNotFound) {
		return no("TRYCREATE", "There is no such mailbox")
	}
	return err
}
