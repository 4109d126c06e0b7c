package command

import "strings"

// Flags is the set of a message's system flags, RFC 9051 2.3.2. Keywords
// travel beside it as strings.
type Flags uint8

// The system flags.
const (
	FlagSeen Flags = 1 << iota
	FlagAnswered
	FlagFlagged
	FlagDeleted
	FlagDraft

	// FlagsAll is every system flag.
	FlagsAll = FlagSeen | FlagAnswered | FlagFlagged | FlagDeleted | FlagDraft
)

var flagNames = [...]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`}

// Has reports whether all of g are set in f.
func (f Flags) Has(g Flags) bool { return f&g == g }

// Names lists the flags as IMAP spells them.
func (f Flags) Names() []string {
	var names []string
	for i, n := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

func (f Flags) String() string { return strings.Join(f.Names(), " ") }

// ParseFlag reads one system flag as IMAP spells it, in any case.
func ParseFlag(s string) (Flags, bool) {
	for i, n := range flagNames {
		if strings.EqualFold(s, n) {
			return 1 << i, true
		}
	}
	return 0, false
}

// MaxKeyword bounds one keyword's length in bytes, MaxKeywords the keywords
// of one mailbox and of one message.
const (
	MaxKeyword  = 128
	MaxKeywords = 200
)

// ValidKeyword reports whether s can be an IMAP keyword: an atom of at most
// MaxKeyword bytes (RFC 9051 9, flag-keyword).
func ValidKeyword(s string) bool {
	if s == "" || len(s) > MaxKeyword {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return true
}
