package sevenbit

import (
	"bytes"
	"mime"
	"strings"

	"rookery"
	"rookery/storage/message"
)

// foldAt is where rewritten fields are folded (RFC 5322 2.1.1).
const foldAt = 78

// inASCII is the field as 7-bit text: itself, folded, or with encoded words
// (RFC 2047) and parameters (RFC 2231). p is the part that it belongs to.
func (f field) inASCII(p *message.Part) ([]byte, error) {
	m, err := measure(bytes.NewReader(f.text))
	if err != nil || m.clean() {
		return f.text, err
	}
	if bytes.ContainsAny(bytes.ReplaceAll(f.text, []byte("\r\n"), nil), "\r\n\x00") {
		return nil, cannot(ErrHeader, "%.64q has a CR, LF or NUL", f.name)
	}
	if isASCII(f.text) {
		return fold(f)
	}
	name, _, _ := strings.Cut(string(f.text), ":")
	value := strings.TrimSpace(strings.ReplaceAll(f.value(), "\r\n", ""))
	switch {
	case unstructured(f.name):
		value = mime.QEncoding.Encode("utf-8", message.DecodeHeader(value))
	case addressed[f.name]:
		value, err = addresses(f.name, value)
	case f.name == "content-type":
		value, err = parameters(f.name, p.Type+"/"+p.Subtype, p.Params)
	case f.name == "content-disposition":
		value, err = parameters(f.name, p.Disposition, p.DispositionParams)
	default:
		return nil, cannot(ErrHeader, "%.64q is not US-ASCII", f.name)
	}
	if err != nil {
		return nil, err
	}
	if !isASCII([]byte(name)) {
		return nil, cannot(ErrHeader, "a field's name is not US-ASCII")
	}
	return words(name, value)
}

// unstructured says whether a field's value is text without a grammar (RFC 5322
// 2.2.1), in which encoded words may stand anywhere.
func unstructured(name string) bool {
	return name == "subject" || name == "comments" || name == "content-description" || name == "thread-topic" ||
		name == "organization" || strings.HasPrefix(name, "x-")
}

// addressed are the fields that hold addresses.
var addressed = map[string]bool{
	"from": true, "sender": true, "reply-to": true, "to": true, "cc": true, "bcc": true,
	"resent-from": true, "resent-sender": true, "resent-reply-to": true, "resent-to": true, "resent-cc": true, "resent-bcc": true,
}

// addresses writes an address list with encoded names. An address that only
// SMTPUTF8 can carry is refused; a domain becomes A-labels.
func addresses(name, value string) (string, error) {
	s := message.NewScanner()
	defer s.Close()
	s.Write([]byte("To: " + value + "\r\n\r\n")) // never fails
	var items []string
	group := ""
	for _, a := range s.Finish().Envelope.To {
		switch a.Mark {
		case message.GroupStart:
			group, items = strings.Join(append(items, phrase(a.Mailbox)+":"), ", "), nil
			continue
		case message.GroupEnd:
			items = []string{group + " " + strings.Join(items, ", ") + ";"}
			continue
		}
		item, err := address(name, a)
		if err != nil {
			return "", err
		}
		items = append(items, item)
	}
	return strings.Join(items, ", "), nil
}

func address(name string, a message.Address) (string, error) {
	domain, err := rookery.NormalDomain(a.Host)
	if err != nil || !isASCII([]byte(a.Mailbox)) || a.Mailbox == "" || strings.ContainsAny(a.Mailbox, "\r\n") {
		return "", cannot(ErrHeader, "%s has an address that only SMTPUTF8 carries, or that cannot be read", name)
	}
	spec := rookery.Address{Local: a.Mailbox, Domain: domain}.String()
	if a.Name == "" {
		return "<" + spec + ">", nil
	}
	return phrase(a.Name) + " <" + spec + ">", nil
}

// phrase is a display name: an encoded word where it is not US-ASCII, else quoted.
func phrase(name string) string {
	text := message.DecodeHeader(name)
	if !isASCII([]byte(text)) {
		return mime.BEncoding.Encode("utf-8", text)
	}
	if text != name {
		return name // encoded already
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// parameters writes a MIME field with its parameters (RFC 2231).
func parameters(name, value string, params [][2]string) (string, error) {
	all := map[string]string{}
	for _, kv := range params {
		if _, twice := all[kv[0]]; !twice {
			all[kv[0]] = kv[1]
			if !isASCII([]byte(kv[1])) {
				all[kv[0]] = message.DecodeHeader(kv[1])
			}
		}
	}
	text := mime.FormatMediaType(value, all)
	if text == "" || !isASCII([]byte(all["boundary"])) {
		return "", cannot(ErrHeader, "%s is malformed", name)
	}
	return text, nil
}

// words writes a field, folded at its blanks.
func words(name, value string) ([]byte, error) {
	out := []byte(name + ":")
	column := len(out)
	for i, word := range strings.Fields(value) {
		if i > 0 && column+1+len(word) > foldAt {
			out = append(out, "\r\n"...)
			column = 0
		}
		if column+1+len(word) > maxLine {
			return nil, cannot(ErrHeader, "%.64q has a word that no line can hold", name)
		}
		out = append(append(out, ' '), word...)
		column += 1 + len(word)
	}
	return append(out, "\r\n"...), nil
}

// fold breaks lines that are too long before white space, which changes nothing
// for who unfolds them (RFC 5322 2.2.3).
func fold(f field) (out []byte, err error) {
	for line := range bytes.SplitAfterSeq(f.text, []byte("\r\n")) {
		for len(bytes.TrimSuffix(line, []byte("\r\n"))) > maxLine {
			at := bytes.LastIndexAny(line[:maxLine], " \t")
			if at <= 0 || len(bytes.TrimLeft(line[:at], " \t")) == 0 || len(bytes.TrimSpace(line[at:])) == 0 {
				return nil, cannot(ErrHeader, "%.64q has a line that cannot be folded", f.name)
			}
			out = append(append(out, line[:at]...), "\r\n"...)
			line = line[at:]
		}
		out = append(out, line...)
	}
	return out, nil
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
