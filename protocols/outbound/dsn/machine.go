package dsn

import (
	"strings"
)

// machine writes the part for programs (RFC 3464 2).
func (r *Report) machine() *fields {
	f := &fields{international: r.international()}
	f.add("Original-Envelope-Id", cut(r.Envelope.ID, 100))
	f.add("Reporting-MTA", host(r.MTA))
	f.addTime("Arrival-Date", r.Original.Arrival)
	for i := range r.Recipients {
		f.WriteString("\r\n")
		r.Recipients[i].write(f)
	}
	return f
}

func (r *Recipient) write(f *fields) {
	f.add("Original-Recipient", originalRecipient(r.Original, f.international))
	f.add("Final-Recipient", finalRecipient(r.Final, f.international))
	f.add("Action", r.Action.String())
	f.add("Status", r.status())
	f.add("Remote-MTA", host(r.RemoteMTA))
	if lines, _ := replyLines(r.Reply); lines != nil {
		f.add("Diagnostic-Code", "smtp; "+strings.Join(lines, " "))
	} else if r.Reason != "" {
		f.add("Diagnostic-Code", "x-rookery; "+cut(r.Reason, maxReply))
	}
	f.addTime("Last-Attempt-Date", r.LastAttempt)
	if r.Action == Delayed {
		f.addTime("Will-Retry-Until", r.WillRetryUntil)
	}
	f.add("X-Rookery-TLS", cut(r.TLS, maxReply))
}

// host is a name as Reporting-MTA and Remote-MTA have it (RFC 3464 2.2.2).
func host(name string) string {
	name = strings.Join(strings.Fields(printable(cut(name, 255))), "")
	if name == "" {
		return ""
	}
	return "dns; " + name
}

// status is the enhanced status code, of a class that fits the action: a failed
// recipient may have a temporary one, where it was tried for too long.
func (r *Recipient) status() string {
	classes, otherwise := "2", "2.0.0"
	switch r.Action {
	case Failed:
		classes, otherwise = "45", "5.0.0"
	case Delayed:
		classes, otherwise = "4", "4.0.0"
	}
	if _, _, ok := splitStatus(r.Status); !ok || !strings.Contains(classes, r.Status[:1]) {
		return otherwise
	}
	return r.Status
}

// splitStatus gives subject and detail of an enhanced status code (RFC 3463 2).
func splitStatus(s string) (subject, detail string, ok bool) {
	class, rest, ok := strings.Cut(s, ".")
	subject, detail, dot := strings.Cut(rest, ".")
	ok = ok && dot && (class == "2" || class == "4" || class == "5") && isNumber(subject) && isNumber(detail)
	return subject, detail, ok
}

func isNumber(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 3
}

// international says whether the machine part is the one of RFC 6533: it may be,
// and something in it is not US-ASCII.
func (r *Report) international() bool {
	if !r.UTF8 {
		return false
	}
	for i := range r.Recipients {
		x := &r.Recipients[i]
		if !isASCII(x.Final.String()) || !isASCII(decodeUnicode(x.Original)) || !isASCII(x.Reply+x.Reason+x.TLS) {
			return true
		}
	}
	return !isASCII(r.Envelope.ID)
}
