package dkim

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// signed are the fields that a signature covers, each once more than it occurs:
// so none can be added on the way, in front of which a reader would show another
// text (RFC 6376 5.4.2 and 8.15).
var signed = []string{
	"From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "In-Reply-To", "References",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
}

// pick gives what of a header is signed, in canonical form, and the names for
// h=. Fields of one name are taken from the bottom up (RFC 6376 5.4.2).
func pick(fields []field) (covered []byte, names []string, err error) {
	n := 0
	for _, name := range signed {
		lower := strings.ToLower(name)
		for i := len(fields) - 1; i >= 0; i-- {
			if fields[i].name != lower {
				continue
			}
			if n++; n > MaxSigned {
				return nil, nil, unsignable("it has more than %d fields to sign", MaxSigned)
			}
			covered = append(append(covered, relaxed(fields[i])...), crlf...)
			names = append(names, name)
		}
		names = append(names, name)
	}
	return covered, names, nil
}

// width is where signature fields are folded.
const width = 76

// field makes the DKIM-Signature field of one key.
func (s *Signer) field(key Key, at time.Time, bodyHash, covered []byte, names []string) ([]byte, error) {
	name, opts, err := algorithm(key.Private)
	if err != nil {
		return nil, err
	}
	var f strings.Builder
	fmt.Fprintf(&f, "DKIM-Signature: v=1; a=%s; c=relaxed/relaxed;\r\n\td=%s;\r\n\ts=%s;\r\n\tt=%d;", name, s.Domain, key.Selector, at.Unix())
	if s.Lifetime > 0 {
		fmt.Fprintf(&f, " x=%d;", at.Add(s.Lifetime).Unix())
	}
	f.WriteString("\r\n\th=")
	column := 10
	for i, name := range names {
		if i > 0 {
			f.WriteByte(':')
		}
		if column+len(name) > width {
			f.WriteString("\r\n\t ")
			column = 9
		}
		f.WriteString(name)
		column += len(name) + 1
	}
	fmt.Fprintf(&f, ";\r\n\tbh=%s;\r\n\tb=", base64.StdEncoding.EncodeToString(bodyHash))

	hash := sha256.New()
	hash.Write(covered)
	hash.Write(relaxed(field{"dkim-signature", []byte(f.String())}))
	signature, err := key.Private.Sign(rand.Reader, hash.Sum(nil), opts)
	if err != nil {
		return nil, err
	}
	text := base64.StdEncoding.EncodeToString(signature)
	for len(text) > width-8 {
		f.WriteString(text[:width-8] + "\r\n\t ")
		text = text[width-8:]
	}
	f.WriteString(text + "\r\n")
	return []byte(f.String()), nil
}
