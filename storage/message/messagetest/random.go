package messagetest

import (
	"math/rand/v2"
	"strings"
)

// tokens are what breaks scanners: delimiters of nested and like-named
// multiparts, missing blank lines, missing line ends.
var tokens = []string{
	"\r\n", "\r\n", "\r\n", "\n", "\r", "-", "--", "--b", "--c", "--bb", "--b\r\n", "--c\r\n", "--bb\r\n", "\r\n--b\r\n", "\r\n--c\r\n",
	"--b--", "--c--", "\r\n--b--\r\n", "\r\n--bb--\r\n", "--b--x\r\n", "--b \t\r\n", "text", "X: y\r\n", " folded\r\n",
	"Content-Type: multipart/mixed; boundary=b\r\n", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
	"Content-Type: multipart/digest; boundary=c\r\n\r\n", "Content-Type: multipart/alternative; boundary=bb\r\n\r\n",
	"Content-Type: multipart/mixed; boundary=\"b--\"\r\n\r\n", "Content-Type: multipart/mixed\r\n\r\n",
	"Content-Type: message/rfc822\r\n\r\n", "Content-Type: message/rfc822\r\n", "Content-Type: message/global\r\n\r\n",
	"Content-Transfer-Encoding: base64\r\n", "Content-Type: text/html\r\n\r\n", "Subject: s\r\n", "From: a: b@c;\r\n",
}

// Random puts tokens together.
func Random(rnd *rand.Rand) string {
	var b strings.Builder
	for range 1 + rnd.IntN(14) {
		b.WriteString(tokens[rnd.IntN(len(tokens))])
	}
	return b.String()
}
