package smtp

import (
	"errors"
	"strings"

	gosmtp "github.com/emersion/go-smtp"
	"rookery"
)

// reply is one line of the table: code, enhanced code (RFC 3463), and what the
// client is told when the error itself must not or cannot say it.
type reply struct {
	code     int
	enhanced gosmtp.EnhancedCode
	text     string
	// detail appends the innermost error's own words, which then are about
	// the client's input only.
	detail bool
}

// replies has a row for every kind. Doubt is temporary.
var replies = map[rookery.Kind]reply{
	rookery.KindUnknown:     {451, gosmtp.EnhancedCode{4, 3, 0}, "The outcome is not certain, try again later", false},
	rookery.KindInvalid:     {554, gosmtp.EnhancedCode{5, 6, 0}, "The message is malformed", true},
	rookery.KindNotFound:    {550, gosmtp.EnhancedCode{5, 1, 1}, "No such user here", false},
	rookery.KindExists:      {451, gosmtp.EnhancedCode{4, 3, 0}, "The message met another, try again", false},
	rookery.KindDenied:      {550, gosmtp.EnhancedCode{5, 7, 1}, "Not permitted", true},
	rookery.KindCredentials: {535, gosmtp.EnhancedCode{5, 7, 8}, "Wrong user name or password", false},
	rookery.KindDisabled:    {535, gosmtp.EnhancedCode{5, 7, 13}, "The account is disabled", false},
	rookery.KindOverQuota:   {452, gosmtp.EnhancedCode{4, 2, 2}, "The mailbox is full", false},
	rookery.KindTooLarge:    {552, gosmtp.EnhancedCode{5, 3, 4}, "The message is too large", true},
	rookery.KindLimit:       {452, gosmtp.EnhancedCode{4, 3, 1}, "Too much at once, try again later", false},
	rookery.KindConflict:    {451, gosmtp.EnhancedCode{4, 3, 0}, "Something changed meanwhile, try again", false},
	rookery.KindUnavailable: {451, gosmtp.EnhancedCode{4, 3, 2}, "The mail store does not answer, try again later", false},
	rookery.KindDamaged:     {451, gosmtp.EnhancedCode{4, 3, 0}, "Stored data is damaged; the operator has been told", false},
	rookery.KindMoved:       {451, gosmtp.EnhancedCode{4, 3, 2}, "The mailbox is being moved, try again", false},
}

// answer turns an error into a reply.
func answer(err error) *gosmtp.SMTPError {
	r, ok := replies[rookery.KindOf(err)]
	if !ok {
		r = replies[rookery.KindUnknown]
	}
	text := r.text
	if r.detail {
		text += ": " + reason(err)
	}
	return &gosmtp.SMTPError{Code: r.code, EnhancedCode: r.enhanced, Message: text}
}

// doubt is answer for errors of our own parts: whatever they say, the client's
// message was not at fault, unless there is no room for it.
func doubt(err error) *gosmtp.SMTPError {
	a := answer(err)
	if a.Code >= 500 && !rookery.Is(err, rookery.KindTooLarge) {
		a = answer(rookery.E("doubt", rookery.KindUnavailable, err))
	}
	return a
}

// lookup is doubt for errors of the directory, which RFC 3463 gives a code of
// its own.
func lookup(err error) *gosmtp.SMTPError {
	a := doubt(err)
	a.EnhancedCode = gosmtp.EnhancedCode{4, 4, 3}
	a.Message = "The directory does not answer, try again later"
	return a
}

// reason is an error's innermost text, on one line of at most 300 bytes.
func reason(err error) string {
	var e *rookery.Error
	for errors.As(err, &e) && e.Err != nil {
		err = e.Err
	}
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, err.Error())
	return s[:min(len(s), 300)]
}

// say makes a reply of the session's own.
func say(code int, enhanced gosmtp.EnhancedCode, text string) *gosmtp.SMTPError {
	return &gosmtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}
