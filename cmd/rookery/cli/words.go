package cli

import "unicode"

// Printable is text from outside as a table shows it: at most so many
// characters, and none that moves the cursor.
func Printable(s string, most int) string {
	var out []rune
	for _, r := range s {
		if len(out) == most {
			return string(out[:most-1]) + "…"
		}
		if !unicode.IsPrint(r) {
			r = ' '
		}
		out = append(out, r)
	}
	return string(out)
}
