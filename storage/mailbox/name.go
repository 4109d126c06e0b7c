package mailbox

import (
	"strings"
	"unicode/utf8"

	"rookery"
	"rookery/storage/command"
	"rookery/storage/tables"
)

// CheckName gives a mailbox name in the form it is stored in, or KindInvalid
// with what is wrong: NFC, levels separated by "/", none empty, INBOX in
// capitals, also as a parent (RFC 9051 5.1). One trailing "/" is taken off:
// it only announces inferiors (RFC 9051 6.3.4).
func CheckName(name string) (string, error) { return canonical(command.NormalName(name)) }

// canonical is CheckName without Unicode tables, for the machine: Encode
// normalised the name.
func canonical(name string) (string, error) {
	if len(name) > 1 {
		name = strings.TrimSuffix(name, "/")
	}
	switch {
	case name == "":
		return "", refuse(rookery.KindInvalid, "a mailbox needs a name")
	case len(name) > MaxName:
		return "", refuse(rookery.KindInvalid, "the mailbox name has %d bytes, at most %d", len(name), MaxName)
	case !utf8.ValidString(name):
		return "", refuse(rookery.KindInvalid, "the mailbox name is not UTF-8")
	}
	for _, r := range name {
		// C0, DEL, C1 and the two separators: RFC 5198 2.
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return "", refuse(rookery.KindInvalid, "the mailbox name has a control character")
		}
	}
	for level := range strings.SplitSeq(name, "/") {
		switch {
		case level == "":
			return "", refuse(rookery.KindInvalid, "the mailbox name %.100q has an empty level", name)
		case len(level) > MaxLevel:
			return "", refuse(rookery.KindInvalid, "a level of the mailbox name has %d bytes, at most %d", len(level), MaxLevel)
		}
	}
	if len(name) >= 5 && (len(name) == 5 || name[5] == '/') && strings.EqualFold(name[:5], "INBOX") {
		name = "INBOX" + name[5:]
	}
	return name, nil
}

// Parent is the name one level up; empty for a name at the top.
func Parent(name string) string {
	if i := strings.LastIndexByte(name, '/'); i > 0 {
		return name[:i]
	}
	return ""
}

func nameKey(table byte, a rookery.AccountID, name string) key {
	return accountKey(table, a).Str(name)
}

// byName is the mailbox of a name; 0 where there is none.
func (w *work) byName(a *openAccount, name string) rookery.MailboxID {
	if v := w.Get(nameKey(tableName, a.ID, name)); len(v) == 4 {
		return rookery.MailboxID(tables.U32At(v, 0))
	}
	return 0
}

// inferiors lists the mailbox names below a name.
func (w *work) inferiors(a *openAccount, name string) []string {
	return w.below(tableName, a, name)
}

func (w *work) below(table byte, a *openAccount, name string) (names []string) {
	w.Scan(nameKey(table, a.ID, name+"/"), func(k, _ []byte) bool {
		names = append(names, string(k[17:]))
		return true
	})
	return names
}
