package dsn

import (
	"bytes"
	"strings"
	"time"
)

// fold is where lines of fields are folded (RFC 5322 2.1.1).
const foldAt = 78

// fields writes header fields, or those of the machine part.
type fields struct {
	bytes.Buffer
	international bool // UTF-8 may stand in values
}

// add writes a field, folded at blanks. An empty value is no field. Whatever the
// value holds, what is written is one field.
func (f *fields) add(name, value string) {
	if value = printable(value); !f.international {
		value = ascii(value)
	}
	words := strings.Fields(value)
	if len(words) == 0 {
		return
	}
	f.WriteString(name + ":")
	column := len(name) + 1
	for i, word := range words {
		word = cut(word, maxValue)
		if i > 0 && column+1+len(word) > foldAt {
			f.WriteString("\r\n")
			column = 0
		}
		f.WriteByte(' ')
		f.WriteString(word)
		column += 1 + len(word)
	}
	f.WriteString("\r\n")
}

// addTime writes a date field (RFC 5322 3.3). A zero time is no field.
func (f *fields) addTime(name string, t time.Time) {
	if !t.IsZero() {
		f.add(name, t.Format("Mon, 2 Jan 2006 15:04:05 -0700"))
	}
}
