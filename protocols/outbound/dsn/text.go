package dsn

import (
	"slices"
	"strings"
)

// textWidth is the width of the readable part in characters.
const textWidth = 72

// maxReplyLines bounds the lines of a reply in the readable part.
const maxReplyLines = 30

// readable is the part for people: English, then Vietnamese.
func (r *Report) readable(facts facts) (p part) {
	p.header.add("Content-Description", "Notification")
	p.header.add("Content-Type", "text/plain; charset=utf-8")
	p.header.add("Content-Language", "en, vi")
	p.header.add("Content-Transfer-Encoding", "quoted-printable")
	t := &text{}
	r.tell(t, &english, facts)
	t.line(strings.Repeat("-", textWidth))
	t.line("")
	r.tell(t, &vietnamese, facts)
	p.content = quoted([]byte(t.String()))
	return p
}

// text collects lines.
type text struct{ strings.Builder }

func (t *text) line(s string) {
	t.WriteString(s)
	t.WriteString("\n")
}

// paragraph writes wrapped lines, each behind the indent.
func (t *text) paragraph(indent, s string) {
	for _, line := range wrap(s, textWidth-len(indent)) {
		t.line(indent + line)
	}
}

// fill puts values into a phrase: {name} by values in pairs of name and value.
func fill(phrase string, pairs ...string) string {
	return strings.NewReplacer(pairs...).Replace(phrase)
}

// tell writes the whole text in one language.
func (r *Report) tell(t *text, l *language, facts facts) {
	t.paragraph("", fill(l.intro, "{host}", printable(cut(r.MTA, 255))))
	t.line("")
	if facts.subject != "" {
		t.paragraph("  ", l.subject+" "+facts.subject)
	}
	if !r.Original.Arrival.IsZero() {
		t.paragraph("  ", l.sent+" "+r.Original.Arrival.Format(l.time))
	}
	if facts.messageID != "" {
		t.paragraph("  ", l.messageID+" "+cut(printable(facts.messageID), maxValue))
	}
	t.line("")
	for a := range actionEnd {
		some := slices.ContainsFunc(r.Recipients, func(x Recipient) bool { return x.Action == a })
		if !some {
			continue
		}
		t.paragraph("", l.heads[a])
		t.line("")
		for i := range r.Recipients {
			if r.Recipients[i].Action == a {
				r.Recipients[i].tell(t, l)
			}
		}
	}
	t.paragraph("", fill(l.help, "{address}", printable(r.From.String())))
	t.line("")
}

// tell writes what there is to say of one recipient.
func (r *Recipient) tell(t *text, l *language) {
	t.paragraph("  ", "<"+cut(printable(r.Final.String()), maxValue)+">")
	if original := shownOriginal(r.Original); original != "" && !strings.EqualFold(original, r.Final.String()) {
		t.paragraph("    ", fill(l.original, "{address}", original))
	}
	lines, shortened := replyLines(r.Reply)
	switch name := printable(cut(r.RemoteMTA, 255)); {
	case lines == nil && r.Reason == "":
		if name != "" && r.Action == Relayed {
			t.paragraph("    ", fill(l.took, "{host}", name))
		}
	case lines == nil:
		t.paragraph("    ", l.reason+" "+printable(cut(r.Reason, maxReply)))
	default:
		if name == "" {
			name = l.someHost
		}
		t.paragraph("    ", fill(l.answered, "{host}", name))
		tellReply(t, lines, shortened)
	}
	if r.TLS != "" {
		t.paragraph("    ", l.connection+" "+printable(cut(r.TLS, maxReply)))
	}
	if !r.LastAttempt.IsZero() && (r.Action == Failed || r.Action == Delayed) {
		t.paragraph("    ", l.lastAttempt+" "+r.LastAttempt.Format(l.time))
	}
	if advice := r.advice(l); advice != "" {
		t.paragraph("    ", advice)
	}
	t.line("")
}

// tellReply quotes the peer's own words, each line marked, so that none can be
// taken for ours.
func tellReply(t *text, lines []string, shortened bool) {
	n := 0
	for _, line := range lines {
		for _, piece := range wrap(line, textWidth-8) {
			if n++; n > maxReplyLines {
				t.line("      > [...]")
				return
			}
			t.line("      > " + piece)
		}
	}
	if shortened {
		t.line("      > [...]")
	}
}

// shownOriginal is the address of an ORCPT for people.
func shownOriginal(orcpt string) string {
	kind, address, ok := strings.Cut(cut(orcpt, 500), ";")
	if !ok || !isAtom(kind) {
		return ""
	}
	if strings.EqualFold(kind, "utf-8") {
		address = decodeUnicode(address)
	}
	return printable(strings.TrimSpace(address))
}

// advice is what the sender can do now.
func (r *Recipient) advice(l *language) string {
	switch r.Action {
	case Failed:
		return l.toDo + " " + l.advice[topicOf(r.Status)]
	case Delayed:
		if r.WillRetryUntil.IsZero() {
			return l.toDo + " " + l.waitOpen
		}
		return l.toDo + " " + fill(l.wait, "{time}", r.WillRetryUntil.Format(l.time))
	}
	return ""
}

// topic is what a failure is about, as far as advice goes.
type topic uint8

const (
	topicOther topic = iota
	topicAddress
	topicDomain
	topicInactive
	topicFull
	topicLarge
	topicUnreachable
	topicPolicy
	topicContent
	topicTLS
	topicEnd
)

// topicOf reads the topic out of an enhanced status code (RFC 3463 3, RFC 7505).
func topicOf(status string) topic {
	subject, detail, ok := splitStatus(status)
	if !ok {
		return topicOther
	}
	switch subject + "." + detail {
	case "1.1", "1.3", "1.6":
		return topicAddress
	case "1.2", "1.10":
		return topicDomain
	case "2.1":
		return topicInactive
	case "2.2":
		return topicFull
	case "2.3", "3.4":
		return topicLarge
	case "7.4", "7.5":
		return topicTLS
	}
	switch subject {
	case "4":
		return topicUnreachable
	case "6":
		return topicContent
	case "7":
		return topicPolicy
	}
	return topicOther
}

// language are the phrases of one language. {name} is filled in.
type language struct {
	intro, subject, sent, messageID   string
	heads                             [actionEnd]string
	original, answered, someHost      string
	reason, took, connection          string
	lastAttempt, toDo, wait, waitOpen string
	advice                            [topicEnd]string
	help                              string
	time                              string // a layout of package time, in digits
}
