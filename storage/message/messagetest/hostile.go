package messagetest

import (
	"fmt"
	"io"
	"strings"
)

// Hostile are messages of about size bytes that are made to cost much, by name.
func Hostile(size int) map[string]io.Reader {
	var params strings.Builder
	for i := range 70 {
		fmt.Fprintf(&params, ";p%d=", i)
	}
	part := "--b\r\nContent-Type: text/plain" + params.String() + "\r\nContent-Disposition: x" + params.String() + "\r\n\r\n\r\n"
	nested := ""
	for i := range 60 {
		nested += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	start := "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
	repeat := func(head, s string, size int) io.Reader {
		return io.MultiReader(strings.NewReader(head), strings.NewReader(strings.Repeat(s, size/len(s))))
	}
	return map[string]io.Reader{
		"addresses":       repeat("To: ", "a,", size),
		"groups":          repeat("To: ", "a:;", size),
		"references":      repeat("References: ", "<a>", size),
		"fields":          repeat("", "a:\r\n", size),
		"one line":        repeat("", "a", size),
		"parts with much": repeat(start, part, size),
		"empty parts":     repeat(start, "--b\r\n", size),
		"enclosed messages": repeat("Content-Type: multipart/digest; boundary=b\r\n\r\n",
			"--b\r\n\r\nTo: a,b,c,d,e,f,g\r\nSubject: x\r\n\r\n", size),
		"dashes":          repeat(start, "--\r\n", size),
		"nested dashes":   repeat(nested, "--b\r\n", size),
		"half delimiters": repeat(start, "--b", size),
		"preview":         repeat("Content-Type: text/html\r\n\r\n", "<style>", size),
	}
}
