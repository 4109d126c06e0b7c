package export

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode/utf16"
)

// maildirName is the directory of a folder: a dot before each level, and what is within
// a level so that it means nothing to a file system.
func maildirName(folder string) string {
	runes := []rune(folder)
	whole := len(runes) <= maxPart
	if !whole {
		runes = runes[:maxPart]
	}
	name := utf7(escapeDots(string(runes)))
	if whole && len(name) <= maxPart {
		return name
	}
	for len(name) > maxPart-13 { // by characters, so that no escape is cut in two
		runes = runes[:len(runes)-1]
		name = utf7(escapeDots(string(runes)))
	}
	return name + digest(folder)
}

func escapeDots(folder string) string {
	var b strings.Builder
	for _, part := range strings.Split(folder, "/") {
		if b.WriteByte('.'); part == "" {
			part = "_" // two dots in a row are no level
		}
		b.WriteString(strings.NewReplacer(`\`, `\5c`, ".", `\2e`).Replace(part))
	}
	return b.String()
}

var base64Comma = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// utf7 is modified UTF-7 (RFC 3501 5.1.3): printable ASCII, and the rest in base64
// between & and -. What is no UTF-8 becomes U+FFFD.
func utf7(s string) string {
	var out strings.Builder
	var wide []byte
	flush := func() {
		if len(wide) > 0 {
			out.WriteString("&" + base64Comma.EncodeToString(wide) + "-")
			wide = wide[:0]
		}
	}
	for _, r := range s {
		switch {
		case r == '&':
			flush()
			out.WriteString("&-")
		case r >= ' ' && r <= '~':
			flush()
			out.WriteByte(byte(r))
		case r <= 0xffff:
			wide = binary.BigEndian.AppendUint16(wide, uint16(r))
		default:
			high, low := utf16.EncodeRune(r)
			wide = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(wide, uint16(high)), uint16(low))
		}
	}
	flush()
	return out.String()
}
