package dsn

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime"
	"strings"
)

// Compose makes the notification: a message of lines that end in CRLF, to be
// sent with the null sender. Errors: KindDenied with ErrNullSender,
// KindInvalid where the report lacks what a notification needs or its sender
// can only be reached with SMTPUTF8, KindLimit beyond MaxRecipients.
func Compose(r Report) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	header := r.Original.header()
	facts := readFacts(header)
	parts := []part{r.readable(facts), r.forPrograms(), r.returned(header)}
	boundary := r.boundary(parts)

	var out bytes.Buffer
	out.Write(r.head(facts, boundary, parts).Bytes())
	out.WriteString("\r\nThis is a report of several parts in MIME format (RFC 6522).\r\n")
	for _, p := range parts {
		fmt.Fprintf(&out, "\r\n--%s\r\n%s\r\n%s", boundary, p.header.Bytes(), p.content)
	}
	fmt.Fprintf(&out, "\r\n--%s--\r\n", boundary)
	return out.Bytes(), nil
}

// head is the notification's own header.
func (r *Report) head(facts facts, boundary string, parts []part) *fields {
	f := &fields{international: r.UTF8}
	f.addTime("Date", r.Date)
	f.add("From", "Mail Delivery System <"+r.From.String()+">")
	f.add("To", "<"+r.Envelope.Sender.String()+">")
	f.add("Subject", r.subject(facts))
	f.add("Message-ID", "<"+bareID(r.MessageID)+">")
	if isID(facts.messageID, r.UTF8) {
		f.add("In-Reply-To", "<"+facts.messageID+">")
		f.add("References", references(facts, r.UTF8))
	}
	f.add("Auto-Submitted", "auto-replied")
	f.add("MIME-Version", "1.0")
	f.add("Content-Type", `multipart/report; report-type=delivery-status; boundary="`+boundary+`"`)
	for _, p := range parts {
		if p.eight {
			f.add("Content-Transfer-Encoding", "8bit")
			break
		}
	}
	return f
}

// subject names what happened, first what is worst, and the original's subject.
func (r *Report) subject(facts facts) string {
	worst := r.Recipients[0].Action
	for i := range r.Recipients {
		worst = min(worst, r.Recipients[i].Action)
	}
	s := [actionEnd]string{"Undeliverable", "Delayed", "Delivered", "Relayed", "Delivered to a list"}[worst]
	if facts.subject != "" {
		s += ": " + facts.subject
	}
	return mime.QEncoding.Encode("utf-8", s)
}

// maxReferences bounds the message ids of References.
const maxReferences = 20

// references are those of the original and its Message-ID (RFC 5322 3.6.4): the
// first and the newest ones.
func references(facts facts, international bool) string {
	var ids []string
	for _, id := range facts.references {
		if isID(id, international) && id != facts.messageID {
			ids = append(ids, "<"+id+">")
		}
	}
	if n := len(ids) - (maxReferences - 1); n > 0 {
		ids = append(ids[:1], ids[1+n:]...)
	}
	return strings.Join(append(ids, "<"+facts.messageID+">"), " ")
}

// bareID is a message id without its brackets, however many there are.
func bareID(id string) string { return strings.Trim(id, " \t<>") }

// isID says whether s can stand between the brackets of a message id.
func isID(s string, international bool) bool {
	return s != "" && len(s) <= 500 && s == printable(s) && !strings.ContainsAny(s, " <>") && (international || isASCII(s))
}

func (r *Report) forPrograms() (p part) {
	f := r.machine()
	p.header.add("Content-Description", "Delivery report")
	p.header.add("Content-Type", "message/delivery-status")
	if f.international {
		p.header.Reset()
		p.header.add("Content-Description", "Delivery report")
		p.header.add("Content-Type", "message/global-delivery-status")
		p.header.add("Content-Transfer-Encoding", "8bit")
		p.eight = true
	}
	p.content = f.Bytes()
	return p
}

// boundary is made of the message id, so that the same report composed twice is
// the same, and occurs in no part.
func (r *Report) boundary(parts []part) string {
	for n := 0; ; n++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", n, r.MessageID))
		boundary := "=_" + hex.EncodeToString(sum[:16])
		taken := false
		for _, p := range parts {
			taken = taken || bytes.Contains(p.content, []byte(boundary))
		}
		if !taken {
			return boundary
		}
	}
}
