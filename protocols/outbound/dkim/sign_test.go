package dkim

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"rookery"
)

// verify gives what go-msgauth says of our signatures, which stand first.
func verify(t testing.TB, message []byte, keys []Key) (errs []error) {
	t.Helper()
	published := records(t, keys)
	lookup := func(name string) ([]string, error) {
		if record, ok := published[name]; ok {
			return []string{record}, nil
		}
		return nil, fmt.Errorf("no record at %s", name)
	}
	results, err := dkim.VerifyWithOptions(bytes.NewReader(message), &dkim.VerifyOptions{LookupTXT: lookup})
	if err != nil {
		t.Fatalf("%v\n%.1000q", err, message)
	}
	if len(results) < len(keys) {
		t.Fatalf("%d signatures, want at least %d", len(results), len(keys))
	}
	for _, r := range results[:len(keys)] {
		errs = append(errs, r.Err)
	}
	return errs
}

func TestVerifies(t *testing.T) {
	for i, message := range variety(200) {
		for _, err := range verify(t, signedMessage(t, testSigner(), message), testKeys()) {
			if err != nil {
				t.Errorf("message %d: %v\n%.1000q", i, err, message)
			}
		}
	}
}

const plain = "From: alice@example.com\r\nTo: bob@example.org\r\nSubject: x\r\n\r\nhello\r\n"

// A field that is added or changed on the way breaks both signatures, whether
// the message had one of its name or not.
func TestOversigns(t *testing.T) {
	message := signedMessage(t, testSigner(), []byte(plain))
	for _, name := range []string{"From", "To", "Cc", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type",
		"Content-Transfer-Encoding", "Reply-To", "In-Reply-To", "References"} {
		for where, changed := range map[string][]byte{
			"above":  append([]byte(name+": added\r\n"), message...),
			"below":  bytes.Replace(message, blankLine, []byte("\r\n"+strings.ToUpper(name)+": added\r\n\r\n"), 1),
			"folded": bytes.Replace(message, []byte("Subject: x"), []byte("Subject: x\r\n y"), 1),
		} {
			for _, err := range verify(t, changed, testKeys()) {
				if err == nil {
					t.Errorf("a further %s %s is not noticed", name, where)
				}
			}
		}
	}
	// What relays do breaks nothing: trace fields, white space, other folding.
	changed := append([]byte("Received: from a by b\r\n"), bytes.Replace(message, []byte("Subject: x"), []byte("subject:\r\n\t x "), 1)...)
	for _, err := range verify(t, changed, testKeys()) {
		if err != nil {
			t.Errorf("a relay's trace breaks it: %v", err)
		}
	}
}

// A signature's tags: the time, the end where asked for, and no l=.
func TestTags(t *testing.T) {
	s := testSigner()
	s.Lifetime = 14 * 24 * time.Hour
	at := time.Unix(1_800_000_000, 0)
	fields, err := s.Sign(strings.NewReader(plain), at)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Sign(iotest.OneByteReader(strings.NewReader(plain)), at)
	if err != nil || !bytes.Equal(fields, again) {
		t.Errorf("read in pieces it gives %q, %v", again, err)
	}
	text := strings.ReplaceAll(string(fields), "\r\n\t", " ")
	for _, tag := range []string{"v=1;", "a=rsa-sha256;", "a=ed25519-sha256;", "c=relaxed/relaxed;", "d=example.com;", "s=rsa-20261130;",
		"s=ed25519-20261130;", "t=1800000000;", "x=1801209600;", "h=From:From:To:To:Cc:Subject:Subject:Date:"} {
		if !strings.Contains(text, tag) {
			t.Errorf("%s lacks in %q", tag, text)
		}
	}
	if strings.Contains(text, "l=") && strings.Contains(text, " l=") {
		t.Errorf("a part of the body alone is signed: %q", text)
	}
	if fields, err = testSigner().Sign(strings.NewReader(plain), at); err != nil || bytes.Contains(fields, []byte(" x=")) {
		t.Errorf("without a lifetime: %q, %v", fields, err)
	}
}

type brokenKey struct{ crypto.Signer }

func (brokenKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the key is away")
}

func TestUnsignable(t *testing.T) {
	broken := rookery.E("read", rookery.KindUnavailable, io.ErrUnexpectedEOF)
	for name, c := range map[string]struct {
		message io.Reader
		kind    rookery.Kind
	}{
		"bare LF in the header": {strings.NewReader("From: a@example.com\nTo: b\r\n\r\nx"), rookery.KindInvalid},
		"bare CR in the header": {strings.NewReader("From: a@example.com\rTo: b\r\n\r\nx"), rookery.KindInvalid},
		"bare LF in the body":   {strings.NewReader(plain + "a\nb"), rookery.KindInvalid},
		"bare CR in the body":   {strings.NewReader(plain + "a\rb"), rookery.KindInvalid},
		"a CR at the end":       {strings.NewReader(plain + "\r"), rookery.KindInvalid},
		"many fields":           {strings.NewReader(strings.Repeat("To: b\r\n", MaxSigned+1) + "\r\n"), rookery.KindInvalid},
		"a large header":        {strings.NewReader(strings.Repeat("X: y\r\n", 1<<20)), rookery.KindTooLarge},
		"a reader that breaks":  {io.MultiReader(strings.NewReader(plain), iotest.ErrReader(broken)), rookery.KindUnavailable},
		"breaks in the header":  {io.MultiReader(strings.NewReader("From: a"), iotest.ErrReader(broken)), rookery.KindUnavailable},
	} {
		if fields, err := testSigner().Sign(c.message, time.Now()); !rookery.Is(err, c.kind) || fields != nil {
			t.Errorf("%s: %q, %v, want kind %s", name, fields, err, c.kind)
		}
	}
	for name, s := range map[string]*Signer{
		"no key":       {Domain: domain},
		"a broken key": {Domain: domain, Keys: []Key{{"s", brokenKey{testKeys()[0].Private}}}},
	} {
		if _, err := s.Sign(strings.NewReader(plain), time.Now()); err == nil {
			t.Errorf("%s signs", name)
		}
	}
}

// repeated is text over and over, n bytes in all.
type repeated struct {
	text string
	n    int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.n <= 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.n)], r.text)
	r.n -= n
	return n, nil
}

// A large body costs no memory, whatever is in it.
func TestStreams(t *testing.T) {
	for name, text := range map[string]string{
		"lines":       strings.Repeat("a line of text like any other\r\n", 1024),
		"empty lines": strings.Repeat("\r\n", 16<<10),
		"one line":    strings.Repeat("x", 32<<10),
		"blanks":      strings.Repeat(" ", 32<<10),
	} {
		var before, after runtime.MemStats
		testKeys()
		runtime.ReadMemStats(&before)
		body := &repeated{text, len(text) * (50 << 20 / len(text))}
		if _, err := testSigner().Sign(io.MultiReader(strings.NewReader(plain), body), time.Now()); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
			t.Errorf("%s: %d bytes of memory for 50 MiB", name, used)
		}
	}
}

func FuzzSign(f *testing.F) {
	for _, m := range variety(20) {
		f.Add(m)
	}
	f.Add([]byte("From\t: a@example.com\r\n \r\n:x\r\n\r\n \t\r\n.\r\n"))
	signer := &Signer{Domain: domain, Keys: testKeys()[1:]} // RSA would take all the time
	f.Fuzz(func(t *testing.T, message []byte) {
		fields, err := signer.Sign(bytes.NewReader(message), time.Now())
		if err != nil {
			if rookery.KindOf(err) == rookery.KindUnknown {
				t.Error(err)
			}
			return
		}
		if !ordinary(message) {
			return
		}
		signed := append(fields, message...)
		if !bytes.Contains(signed, blankLine) {
			signed = append(signed, "\r\n\r\n"...)
		}
		for _, err := range verify(t, signed, signer.Keys) {
			if err != nil {
				t.Errorf("%v\n%q", err, message)
			}
		}
	})
}

// ordinary says that the header consists of fields alone, whose names are
// US-ASCII: of others each verifier makes what it likes.
func ordinary(message []byte) bool {
	block, _, _ := bytes.Cut(message, blankLine)
	if len(block) == 0 || bytes.HasPrefix(block, crlf) {
		return false
	}
	open := false
	for line := range bytes.SplitSeq(bytes.TrimSuffix(block, crlf), crlf) {
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') && open {
			continue
		}
		name, _, colon := bytes.Cut(line, []byte(":"))
		name = bytes.TrimRight(name, " \t")
		if open = colon; !colon || bytes.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return false
		}
	}
	return true
}

func BenchmarkSign(b *testing.B) {
	message := bytes.Repeat([]byte("a line of text like any other, of words\r\n"), 100)
	message = append([]byte(plain), message...)
	b.SetBytes(int64(len(message)))
	for b.Loop() {
		if _, err := testSigner().Sign(bytes.NewReader(message), time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}
