// Package rookery holds the nouns every other package speaks: addresses,
// identifiers, counters, and the kinds of error. It owns names and their
// textual forms; it never does I/O, knows no protocol and imports nothing of
// this module.
package rookery

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// NodeID names a data directory, not a machine: it is random, made once when
// the directory is initialised, and a wiped disk is a new node.
type NodeID string

// GroupID names a Raft group. The system group is SystemGroup; mail groups
// follow it. No other identifier contains one, so accounts can move.
type GroupID uint32

// SystemGroup holds nodes, settings, the account map and the directory copy.
const SystemGroup GroupID = 1

// LogIndex is a position in one group's Raft log. 0 is before the first entry.
type LogIndex uint64

// Entry is one committed log entry as a state machine sees it.
type Entry struct {
	Index LogIndex
	Term  uint64
	// Data is the command, valid only until Apply returns; nil for entries
	// that carry none (no-ops and configuration changes).
	Data []byte
	// Configuration is the encoded Raft configuration where the entry
	// changes it, else nil.
	Configuration []byte
}

// AccountID names one account for ever. It is random and never derived from
// an address or a directory entry's name.
type AccountID [16]byte

// NewAccountID mints an AccountID.
func NewAccountID() AccountID { return AccountID(random16()) }

func (id AccountID) String() string { return hex.EncodeToString(id[:]) }

// ParseAccountID reads what String wrote.
func ParseAccountID(s string) (AccountID, error) {
	var id AccountID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, E("parse account id", KindInvalid, fmt.Errorf("%q is not 32 hexadecimal digits", s))
	}
	copy(id[:], b)
	return id, nil
}

// MailboxID names a mailbox within its account; it survives RENAME and is
// never used again. 0 is no mailbox.
type MailboxID uint32

// ObjectID is the MAILBOXID of RFC 8474: unique over all accounts.
func (id MailboxID) ObjectID(account AccountID) string {
	b := append(account[:len(account):len(account)], byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
	return "F" + base64.RawURLEncoding.EncodeToString(b)
}

// UID is a message's number in its mailbox, RFC 9051 2.3.1.1. 0 is none.
type UID uint32

// UIDValidity is a mailbox's validity value, RFC 9051 2.3.1.1.
type UIDValidity uint32

// ModSeq counts an account's changes, RFC 7162. One counter serves all
// mailboxes of an account. 63 bits are used.
type ModSeq uint64

// EmailID names a message's content: it survives COPY, MOVE and restore
// (RFC 8474 EMAILID).
type EmailID [16]byte

// NewEmailID mints an EmailID: 48 bits of time in milliseconds, then 80 random
// ones. Ids of messages that arrive one after another lie side by side in the
// state, and so are read in one walk; nothing may depend on their order.
func NewEmailID() EmailID {
	id := EmailID(random16())
	ms := uint64(time.Now().UnixMilli())
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return id
}

// String is the EMAILID on the wire.
func (id EmailID) String() string { return "M" + base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseEmailID reads what String gives.
func ParseEmailID(s string) (EmailID, error) {
	var id EmailID
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(s, "M"))
	if err != nil || len(b) != len(id) || !strings.HasPrefix(s, "M") {
		return id, E("parse email id", KindInvalid, fmt.Errorf("%.60q is no EMAILID", s))
	}
	copy(id[:], b)
	return id, nil
}

// ThreadID names a conversation within an account (RFC 8474 THREADID): the
// EmailID of the first message seen of it.
type ThreadID EmailID

// String is the THREADID on the wire.
func (id ThreadID) String() string { return "T" + base64.RawURLEncoding.EncodeToString(id[:]) }

func random16() (b [16]byte) {
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return b
}

// Address is a mailbox address, kept as it was given: Local as written,
// Domain as A-labels in lower case.
type Address struct {
	Local  string
	Domain string
}

// ParseAddress reads local@domain without angle brackets (RFC 5321 4.1.2,
// RFC 6531). A quoted local part is unquoted. The local part is at most 64
// bytes, the domain at most 255.
func ParseAddress(s string) (Address, error) {
	fail := func(why string) (Address, error) {
		return Address{}, E("parse address", KindInvalid, fmt.Errorf("%.200q %s", s, why))
	}
	at := strings.LastIndexByte(s, '@')
	if at <= 0 || at == len(s)-1 {
		return fail("needs the form local@domain")
	}
	local, domain := s[:at], s[at+1:]
	if n := len(local); n > 1 && local[0] == '"' && local[n-1] == '"' {
		var b strings.Builder
		for i := 1; i < n-1; i++ {
			c := local[i]
			if c == '\\' {
				if i++; i == n-1 {
					return fail("ends its quoted local part with a backslash")
				}
				c = local[i]
			} else if c == '"' {
				return fail("has a bare quote in its local part")
			}
			b.WriteByte(c)
		}
		local = b.String()
	} else if strings.ContainsAny(local, "()<>[]:;@\\,\" ") {
		return fail("has a character in its local part that needs quotes")
	}
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] == 0x7f {
			return fail("has a control character")
		}
	}
	if local == "" || len(local) > 64 {
		return fail("needs a local part of 1 to 64 bytes")
	}
	d, err := NormalDomain(domain)
	if err != nil {
		return fail("has a bad domain: " + err.Error())
	}
	return Address{Local: local, Domain: d}, nil
}

// UnquotedAddress reads local@domain whose local part stands without the quotes
// that RFC 5321 4.1.2 may want for it, as parsers hand it over. The bounds are
// those of ParseAddress.
func UnquotedAddress(s string) (Address, error) {
	at := strings.LastIndexByte(s, '@')
	switch {
	case at <= 0 || at == len(s)-1:
		return Address{}, fmt.Errorf("it needs the form local@domain")
	case at > 64:
		return Address{}, fmt.Errorf("the local part is longer than 64 bytes")
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return Address{}, fmt.Errorf("it has a control character")
		}
	}
	domain, err := NormalDomain(s[at+1:])
	if err != nil {
		return Address{}, fmt.Errorf("the domain is malformed")
	}
	return Address{Local: s[:at], Domain: domain}, nil
}

// The longest domain and label in octets (RFC 1035 2.3.4, RFC 5321 4.5.3.1.2).
// RFC 6531 counts the octets of UTF-8.
const (
	maxDomain = 255
	maxLabel  = 63
)

// NormalDomain gives a domain's A-label form in lower case, without a
// trailing dot. Address literals ([192.0.2.1]) pass unchanged. A domain longer
// than 255 octets before or after, or with an A-label of none or more than 63,
// is refused.
func NormalDomain(s string) (string, error) {
	s = strings.TrimSuffix(s, ".")
	if len(s) > maxDomain {
		// Before idna, whose effort grows with the square of the length.
		return "", fmt.Errorf("%.40q... is longer than %d octets", s, maxDomain)
	}
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		return s, nil
	}
	d, err := idna.Lookup.ToASCII(s)
	if err != nil {
		// Names outside the strict profile (underscores) exist in real mail.
		if d, err = idna.Punycode.ToASCII(strings.ToLower(s)); err != nil {
			return "", err
		}
	}
	if len(d) > maxDomain || strings.ContainsAny(d, " @<>()[]\\,;:\"\t\r\n\x00") {
		return "", fmt.Errorf("%.200q is not a domain name", s)
	}
	for label := range strings.SplitSeq(d, ".") {
		if label == "" || len(label) > maxLabel {
			return "", fmt.Errorf("%.200q is not a domain name: a label has 1 to %d octets", s, maxLabel)
		}
	}
	return strings.ToLower(d), nil
}

// UnicodeDomain is the domain with its A-labels as U-labels (RFC 5890 2.3.2.1),
// or as it is where they are none.
func (a Address) UnicodeDomain() string {
	if len(a.Domain) > maxDomain {
		return a.Domain
	}
	u, err := idna.ToUnicode(a.Domain)
	if err != nil {
		return a.Domain
	}
	return u
}

// String is the address on the wire, the local part quoted where RFC 5321
// needs it.
func (a Address) String() string {
	local := a.Local
	if local == "" || strings.ContainsAny(local, "()<>[]:;@\\,\" ") || strings.HasPrefix(local, ".") ||
		strings.HasSuffix(local, ".") || strings.Contains(local, "..") {
		local = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(local) + `"`
	}
	return local + "@" + a.Domain
}

// Key is the form in which addresses compare: the local part NFC and case
// folded, dots kept, without its +detail.
func (a Address) Key() string {
	local, _ := a.Detail()
	return FoldLocal(local) + "@" + a.Domain
}

// Detail splits the local part at its first plus sign (RFC 5233). A leading
// plus sign starts no detail.
func (a Address) Detail() (local, detail string) {
	if i := strings.IndexByte(a.Local, '+'); i > 0 {
		return a.Local[:i], a.Local[i+1:]
	}
	return a.Local, ""
}

// FoldLocal is the form in which local parts and login names compare.
func FoldLocal(s string) string {
	ascii := true
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			ascii = false
			break
		}
	}
	if ascii {
		return strings.ToLower(s)
	}
	return norm.NFC.String(cases.Fold().String(norm.NFC.String(s)))
}
