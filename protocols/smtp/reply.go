package smtp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rookery"
	"rookery/protocols/delivery"
	"rookery/protocols/policy"
	"rookery/protocols/signin"
)

// Reply is what a command is answered with. Its text may have several lines,
// separated by LF; without an enhanced code none is sent.
type Reply = policy.Reply

// enhanced is an enhanced status code (RFC 3463): class, subject, detail.
type enhanced = [3]int

// say makes a reply.
func say(code int, e enhanced, text string) Reply { return Reply{Code: code, Enhanced: e, Text: text} }

// refuse is say for what may also have no reply.
func refuse(code int, e enhanced, text string) *Reply {
	r := say(code, e, text)
	return &r
}

// appendReply writes a reply as RFC 5321 4.2 and RFC 2034 want it.
func appendReply(b []byte, r Reply) []byte {
	lines := strings.Split(r.Text, "\n")
	for i, line := range lines {
		b = strconv.AppendInt(b, int64(r.Code), 10)
		if i < len(lines)-1 {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		if r.Enhanced != (enhanced{}) {
			b = fmt.Appendf(b, "%d.%d.%d ", r.Enhanced[0], r.Enhanced[1], r.Enhanced[2])
		}
		b = append(append(b, line...), newLine...)
	}
	return b
}

// row is one line of the table: code, enhanced code, and what the client is told
// when the error itself must not or cannot say it.
type row struct {
	code     int
	enhanced enhanced
	text     string
	// detail appends the innermost error's own words, which then are about
	// the client's input only.
	detail bool
}

// replies has a row for every kind. Doubt is temporary.
var replies = map[rookery.Kind]row{
	rookery.KindUnknown:     {451, enhanced{4, 3, 0}, "The outcome is not certain, try again later", false},
	rookery.KindInvalid:     {554, enhanced{5, 6, 0}, "The message is malformed", true},
	rookery.KindNotFound:    {550, enhanced{5, 1, 1}, "No such user here", false},
	rookery.KindExists:      {451, enhanced{4, 3, 0}, "The message met another, try again", false},
	rookery.KindDenied:      {550, enhanced{5, 7, 1}, "Not permitted", true},
	rookery.KindCredentials: {535, enhanced{5, 7, 8}, "Wrong user name or password", false},
	rookery.KindDisabled:    {535, enhanced{5, 7, 8}, "Wrong user name or password", false},
	rookery.KindOverQuota:   {452, enhanced{4, 2, 2}, "The mailbox is full", false},
	rookery.KindTooLarge:    {552, enhanced{5, 3, 4}, "The message is too large", true},
	rookery.KindLimit:       {452, enhanced{4, 3, 1}, "Too much at once, try again later", false},
	rookery.KindConflict:    {451, enhanced{4, 3, 0}, "Something changed meanwhile, try again", false},
	rookery.KindUnavailable: {451, enhanced{4, 3, 2}, "The mail store does not answer, try again later", false},
	rookery.KindDamaged:     {451, enhanced{4, 3, 0}, "Stored data is damaged; the operator has been told", false},
	rookery.KindMoved:       {451, enhanced{4, 3, 2}, "The mailbox is being moved, try again", false},
}

// refusals has what AUTH is answered after a right password, by its cause, with
// the enhanced codes that RFC 5248's registry has for it.
var refusals = map[signin.Cause]row{
	signin.Disabled:  {535, enhanced{5, 7, 13}, "The account is disabled; ask your administrator", false},
	signin.Expired:   {535, enhanced{5, 7, 0}, "The password has expired and must be changed first", false},
	signin.Forbidden: {535, enhanced{5, 7, 1}, "The account may not sign in now, or not from here", false},
	signin.Locked:    {535, enhanced{5, 7, 0}, "The account is locked after too many wrong passwords", false},
}

// answer turns an error into a reply.
func answer(err error) Reply {
	r, ok := replies[rookery.KindOf(err)]
	if !ok {
		r = replies[rookery.KindUnknown]
	}
	if told, ok := refusals[signin.Told(err)]; ok {
		r = told
	}
	text := r.text
	if r.detail {
		text += ": " + reason(err)
	}
	return say(r.code, r.enhanced, text)
}

// doubt is answer for errors of our own parts: whatever they say, the client's
// message was not at fault, unless there is no room for it.
func doubt(err error) Reply {
	if late := (*delivery.RateError)(nil); errors.As(err, &late) {
		return say(450, enhanced{4, 7, 1}, "You have sent to as many recipients elsewhere as you may in an hour; it goes again at "+
			late.Again.UTC().Format(time.RFC3339))
	}
	a := answer(err)
	if a.Code >= 500 && !rookery.Is(err, rookery.KindTooLarge) {
		a = answer(rookery.E("doubt", rookery.KindUnavailable, err))
	}
	return a
}

// lookup is doubt for errors of the directory, which RFC 3463 gives a code of
// its own.
func lookup(err error) Reply {
	a := doubt(err)
	a.Enhanced = enhanced{4, 4, 3}
	a.Text = "The directory does not answer, try again later"
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
