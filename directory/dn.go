package directory

import (
	"encoding/hex"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"rookery"
)

// NormalDN is the form in which distinguished names compare (RFC 4514, and
// caseIgnoreMatch for every value): types and values folded, no blanks around
// separators and one for several within a value, one way to escape, the parts of
// an RDN in order. What is no distinguished name is folded as it stands. OIDs are
// not replaced by names.
func NormalDN(dn string) string {
	if len(dn) > MaxDN {
		return rookery.FoldLocal(norm.NFC.String(dn)) // nothing that long is one
	}
	var rdns []string
	for _, rdn := range splitDN(dn, ",;") {
		var parts []string
		for _, part := range splitDN(rdn, "+") {
			typ, value, ok := strings.Cut(part, "=")
			typ = strings.ToLower(strings.TrimSpace(typ))
			if !ok || typ == "" || strings.Trim(typ, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
				return strings.TrimSpace(rookery.FoldLocal(norm.NFC.String(dn)))
			}
			parts = append(parts, typ+"="+normalValue(value))
		}
		slices.Sort(parts)
		rdns = append(rdns, strings.Join(parts, "+"))
	}
	return strings.Join(rdns, ",")
}

// MaxDN is the longest distinguished name that NormalDN reads, in bytes.
const MaxDN = 8 << 10

// splitDN cuts at separators that are neither escaped nor quoted.
func splitDN(s, separators string) (parts []string) {
	from, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(separators, s[i]) >= 0:
			parts, from = append(parts, s[from:i]), i+1
		}
	}
	return append(parts, s[from:])
}

// normalValue reads the value of an attribute and writes it in one way.
func normalValue(s string) string {
	s = strings.TrimLeft(s, " ")
	for strings.HasSuffix(s, " ") && !strings.HasSuffix(s, `\ `) {
		s = s[:len(s)-1]
	}
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	var raw []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			if i+2 < len(s) {
				if b, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
					raw = append(raw, b[0])
					i += 2
					continue
				}
			}
			i++
		}
		raw = append(raw, s[i])
	}
	var b strings.Builder
	for _, c := range []byte(strings.Join(strings.Fields(rookery.FoldLocal(norm.NFC.String(string(raw)))), " ")) {
		if strings.IndexByte(`,+"\<>;=#`, c) >= 0 {
			b.WriteByte('\\')
		}
		if c < ' ' || c == 0x7f {
			b.WriteString(`\` + hex.EncodeToString([]byte{c}))
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
