package dkim

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery/storage/message/messagetest"
)

const domain = "example.com"

// testKeys are a pair of keys, made once: making RSA keys takes long.
var testKeys = sync.OnceValue(func() []Key {
	var keys []Key
	for _, kind := range []Kind{RSA, Ed25519} {
		private, err := Generate(kind)
		if err != nil {
			panic(err)
		}
		keys = append(keys, Key{Selector: kind.String() + "-20261130", Private: private})
	}
	return keys
})

func testSigner() *Signer { return &Signer{Domain: domain, Keys: testKeys()} }

// records are the TXT records of the keys by name.
func records(t testing.TB, keys []Key) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, k := range keys {
		record, err := Record(k.Private.Public())
		if err != nil {
			t.Fatal(err)
		}
		all[RecordName(k.Selector, domain)] = record
	}
	return all
}

// signedMessage is the message with its signatures above it.
func signedMessage(t testing.TB, s *Signer, message []byte) []byte {
	t.Helper()
	fields, err := s.Sign(bytes.NewReader(message), time.Now())
	if err != nil {
		t.Fatalf("%v\n%.2000q", err, message)
	}
	for line := range strings.SplitSeq(string(fields), "\r\n") {
		if len(line) > 100 || strings.ContainsAny(line, "\r\n") {
			t.Errorf("a line of a signature: %q", line)
		}
	}
	return append(fields, message...)
}

var headers = []string{
	"To: bob@example.org\r\n", "TO : bob@example.org ,\r\n\tcarol@example.org\r\n", "Cc:\r\n dave@example.org\r\n", "Cc:\r\n",
	"Subject: hello\r\n", "Subject:   much \t  white   space  \r\n", "Subject: folded\r\n  and\r\n\tfolded again\r\n", "Subject:\r\n",
	"Subject: Grüße aus Hà Nội\r\n", "Subject: latin \xe4\xf6\xfc\r\n", "subject: twice\r\nSubject: or more\r\n",
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?q?_und?=\r\n", "Subject: " + strings.Repeat("long ", 180) + "\r\n",
	"Date: Mon, 30 Nov 2026 23:05:09 +0100\r\n", "Message-ID: <a@example.com>\r\n", "Message-Id:<b@example.com>\r\n",
	"MIME-Version: 1.0\r\nContent-Type: text/plain;\r\n\tcharset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
	"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n", "Reply-To: \"A: b; c\" <r@example.com>\r\n",
	"In-Reply-To: <x@example.org>\r\nReferences: <x@example.org>\r\n <y@example.org>\r\n", "X-Empty:\r\n", "X-Colons: a:b:c\r\n",
	"Received: from a by b;\r\n\tMon, 30 Nov 2026 23:05:09 +0100\r\n", "List-Unsubscribe: <mailto:u@example.com>\r\n",
}

var bodies = []string{
	"", "\r\n", "\r\n\r\n\r\n", " \r\n\t\r\n", "text", "text\r\n", "text \t \r\n\r\n\r\n", "text\r\n \r\n \t\r\n",
	" leading\r\n  and  inner\t\tspace \r\n",
	"a\r\n\r\n\r\nb\r\n", "Grüße\r\nThư của bạn\r\n", "latin \xe4\xf6\xfc\r\n", strings.Repeat("x", 5000) + "\r\n",
	strings.Repeat("y z ", 2000),
	".\r\n..\r\n.dot\r\n", "--b\r\n\r\npart\r\n--b--\r\n", "From the start of a line\r\n", strings.Repeat("\r\n", 500) + "end",
	"trailing blank ", "\t",
	strings.Repeat("line of text\r\n", 5000),
}

// variety makes n messages that are odd in many ways, the same at each run.
func variety(n int) (all [][]byte) {
	rnd := rand.New(rand.NewPCG(7, 11))
	headers := slices.Clone(headers)
	for i := range n {
		var b bytes.Buffer
		from := "From: Alice <alice@example.com>\r\n"
		if i%7 == 0 {
			from = "from :\r\n \"Alice  X.\"\t<alice@example.com>  \r\n"
		}
		switch i % 5 {
		case 0:
			b.WriteString(from)
			b.Write(bytes.ReplaceAll(messagetest.Sample(2000+500*i), []byte("From: \"Alice Example\""), []byte("X-From:")))
		case 1: // what breaks scanners, with whole line ends
			s := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(messagetest.Random(rnd))
			fmt.Fprintf(&b, "%sTo: x@example.org\r\n\r\n%s", from, strings.ReplaceAll(s, "\n", "\r\n"))
		default:
			rnd.Shuffle(len(headers), func(i, j int) { headers[i], headers[j] = headers[j], headers[i] })
			all := append([]string{from}, headers[:rnd.IntN(len(headers))]...)
			rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			b.WriteString(strings.Join(all, "") + "\r\n" + bodies[(i+rnd.IntN(2))%len(bodies)])
		}
		all = append(all, b.Bytes())
	}
	return all
}
