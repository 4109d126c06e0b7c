package message

import "strings"

// eachField calls fn for every field of a header block: its name as written
// and its raw value, folded, without the final line end. Lines that are no
// field ("From " lines, text without a colon) are passed over.
func eachField(block string, fn func(name, value string)) {
	for block != "" {
		line := block[:fieldEnd(block)]
		block = block[len(line):]
		colon := strings.IndexByte(line, ':')
		if colon <= 0 {
			continue
		}
		name := strings.TrimRight(line[:colon], " \t")
		if name == "" || strings.ContainsAny(name, " \t\r\n") {
			continue
		}
		fn(name, strings.TrimRight(line[colon+1:], "\r\n"))
	}
}

// fieldEnd is the length of the first field with its continuation lines.
func fieldEnd(block string) int {
	end := 0
	for {
		i := strings.IndexByte(block[end:], '\n')
		if i < 0 {
			return len(block)
		}
		end += i + 1
		if end == len(block) || (block[end] != ' ' && block[end] != '\t') {
			return end
		}
	}
}

// unfold removes the line ends of a folded value, its NULs, and the white space
// around it (RFC 5322 2.2.3).
func unfold(value string) string {
	if strings.ContainsAny(value, "\r\n\x00") {
		b := make([]byte, 0, len(value))
		for i := 0; i < len(value); i++ {
			switch c := value[i]; c {
			case '\r', '\n', 0:
			default:
				b = append(b, c)
			}
		}
		value = string(b)
	}
	return strings.Trim(value, " \t")
}

// messageFields reads the envelope out of a header block.
func (s *Scanner) messageFields(block string, env *Envelope) {
	once := func(f Fields, dst *string, value string) {
		if env.Present&f == 0 {
			env.Present |= f
			*dst = unfold(value)
		}
	}
	list := func(dst *[]Address, value string) {
		*dst = appendAddresses(*dst, unfold(value), &s.addresses)
	}
	eachField(block, func(name, value string) {
		switch len(name) {
		case 2:
			if strings.EqualFold(name, "to") {
				list(&env.To, value)
			} else if strings.EqualFold(name, "cc") {
				list(&env.Cc, value)
			}
		case 3:
			if strings.EqualFold(name, "bcc") {
				list(&env.Bcc, value)
			}
		case 4:
			if strings.EqualFold(name, "date") {
				once(HasDate, &env.Date, value)
			} else if strings.EqualFold(name, "from") {
				list(&env.From, value)
			}
		case 6:
			if strings.EqualFold(name, "sender") {
				list(&env.Sender, value)
			}
		case 7:
			if strings.EqualFold(name, "subject") {
				once(HasSubject, &env.Subject, value)
			}
		case 8:
			if strings.EqualFold(name, "reply-to") {
				list(&env.ReplyTo, value)
			}
		case 10:
			if strings.EqualFold(name, "message-id") {
				once(HasMessageID, &env.MessageID, value)
			}
		case 11:
			if strings.EqualFold(name, "in-reply-to") {
				once(HasInReplyTo, &env.InReplyTo, value)
			}
		}
	})
}

// readThreading fills in what finds the message's conversation. The envelope is
// read already.
func (e *Extract) readThreading(block string) {
	if ids := messageIDs(e.Envelope.MessageID, 1); len(ids) > 0 {
		e.MessageID = ids[0]
	} else if id := e.Envelope.MessageID; id != "" && len(id) <= maxMessageID && !strings.ContainsAny(id, " \t<>") {
		e.MessageID = id // without its brackets
	}
	e.InReplyTo = messageIDs(e.Envelope.InReplyTo, MaxReferences)
	eachField(block, func(name, value string) {
		if len(name) == 10 && strings.EqualFold(name, "references") && e.References == nil {
			e.References = messageIDs(unfold(value), MaxReferences)
		}
	})
	e.BaseSubject, e.IsReply = baseSubject(DecodeHeader(e.Envelope.Subject))
}

// maxMessageID bounds a message id; RFC 5322 bounds a line to 998.
const maxMessageID = 998

// messageIDs gives the ids in angle brackets, without white space and brackets:
// at most limit of them, the first and the last ones. Text around them is
// passed over (RFC 5322 4.5.4).
func messageIDs(s string, limit int) []string {
	var ids []string
	for {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			return ids
		}
		s = s[open+1:]
		end := strings.IndexByte(s, '>')
		if end < 0 {
			return ids
		}
		id := s[:end]
		if again := strings.LastIndexByte(id, '<'); again >= 0 {
			id = id[again+1:]
		}
		s = s[end+1:]
		if strings.ContainsAny(id, " \t") {
			id = strings.NewReplacer(" ", "", "\t", "").Replace(id)
		}
		if id == "" || len(id) > maxMessageID {
			continue
		}
		if len(ids) == limit {
			if limit == 1 {
				return ids
			}
			ids = append(ids[:1], ids[2:]...)
		}
		ids = append(ids, id)
	}
}
