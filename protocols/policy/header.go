package policy

import (
	"bytes"
	"net/mail"
	"strings"

	"rookery"
)

// Header is what the filters want to know of a message's header.
type Header struct {
	// Received counts the Received fields.
	Received int
	// DeliveredTo are the Delivered-To fields.
	DeliveredTo []string
	// Date and MessageID say that the fields are there.
	Date, MessageID bool
	// From are the addresses of all From fields; FromBroken says that one of
	// the fields cannot be read.
	From       []rookery.Address
	FromBroken bool
	// Cut says that the header goes on behind the bytes that were given.
	Cut bool
}

// readHeader reads the header block at the start of a message of size bytes.
// Like those who will read the message, it passes over lines that are no field:
// a From field behind one is as good as any.
func readHeader(b []byte, size int64) Header {
	var h Header
	whole := int64(len(b)) == size
	for !bytes.HasPrefix(b, []byte("\r\n")) {
		if len(b) == 0 {
			h.Cut = !whole
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
			h.Received++
		case "delivered-to":
			h.DeliveredTo = append(h.DeliveredTo, strings.TrimSpace(string(value)))
		case "date":
			h.Date = true
		case "message-id":
			h.MessageID = true
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

func (h *Header) readFrom(value string) {
	list, err := mail.ParseAddressList(strings.TrimSpace(strings.ReplaceAll(value, "\r\n", "")))
	if err != nil || len(list) == 0 {
		h.FromBroken = true
		return
	}
	for _, a := range list {
		addr, err := rookery.UnquotedAddress(a.Address)
		if err != nil {
			h.FromBroken = true
			continue
		}
		h.From = append(h.From, addr)
	}
}
