package smtp

import (
	"bytes"
	"net/mail"
	"strings"

	"rookery"
)

// maxReceived is how many Received fields a message may bring (RFC 5321 6.3
// wants at least 100).
const maxReceived = 100

// header is what a session wants to know of a message's header.
type header struct {
	received   int
	date       bool
	messageID  bool
	from       []rookery.Address
	fromBroken bool
	// cut says that the header goes on behind the bytes that were given.
	cut bool
}

// readHeader reads the header block at the start of a message of size bytes.
// Like those who will read the message, it passes over lines that are no field:
// a From field behind one is as good as any.
func readHeader(b []byte, size int64) header {
	var h header
	whole := int64(len(b)) == size
	for !bytes.HasPrefix(b, []byte("\r\n")) {
		if len(b) == 0 {
			h.cut = !whole
			break
		}
		var field []byte
		field, b = cutField(b)
		name, value, ok := bytes.Cut(field, []byte(":"))
		if !ok {
			continue
		}
		switch strings.ToLower(string(bytes.TrimRight(name[:min(len(name), 20)], " \t"))) {
		case "received":
			h.received++
		case "date":
			h.date = true
		case "message-id":
			h.messageID = true
		case "from":
			h.readFrom(string(value))
		}
	}
	return h
}

// cutField splits off the first field with its continuation lines.
func cutField(b []byte) (field, rest []byte) {
	end := 0
	for {
		i := bytes.IndexByte(b[end:], '\n')
		if i < 0 {
			return b, nil
		}
		end += i + 1
		if end == len(b) || b[end] != ' ' && b[end] != '\t' {
			return b[:end], b[end:]
		}
	}
}

func (h *header) readFrom(value string) {
	list, err := mail.ParseAddressList(strings.TrimSpace(strings.ReplaceAll(value, "\r\n", "")))
	if err != nil || len(list) == 0 {
		h.fromBroken = true
		return
	}
	for _, a := range list {
		addr, err := parsePath(a.Address, true)
		if err != nil {
			h.fromBroken = true
			continue
		}
		h.from = append(h.from, addr)
	}
}
