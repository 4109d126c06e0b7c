package main

import (
	"fmt"
	"unicode"
)

// plural counts things: 1 session, 2 sessions.
func plural[N int | int64 | uint64](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	if last := len(one) - 1; one[last] == 'y' {
		return fmt.Sprintf("%d %sies", n, one[:last])
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// printable is text from outside as a table shows it: at most so many
// characters, and none that moves the cursor.
func printable(s string, most int) string {
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
