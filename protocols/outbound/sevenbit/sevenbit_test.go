package sevenbit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"rookery"
	"rookery/storage/message"
	"rookery/storage/message/decode"
	"rookery/storage/message/messagetest"
)

func convertString(s string) (string, bool, error) {
	var out bytes.Buffer
	changed, err := Convert(&out, strings.NewReader(s), int64(len(s)))
	return out.String(), changed, err
}

func structure(s string) *message.Extract {
	scanner := message.NewScanner()
	defer scanner.Close()
	io.WriteString(scanner, s)
	return scanner.Finish()
}

// leafs are what the parts of a message say: type, name and decoded content.
func leafs(s string) (all []string) {
	structure(s).Structure.Walk(func(p *message.Part) bool {
		if len(p.Parts) == 0 && p.Message == nil {
			r, _ := decode.Transfer(p.Encoding, strings.NewReader(s[p.BodyOffset:p.BodyOffset+p.BodyLen]))
			content, err := io.ReadAll(r)
			all = append(all, fmt.Sprintf("%s/%s %q %q %v: %q", p.Type, p.Subtype, p.Filename(), p.ID, err, content))
		} else {
			all = append(all, fmt.Sprintf("%s/%s of %d", p.Type, p.Subtype, len(p.Parts)))
		}
		return true
	})
	return all
}

// check converts a message and compares what it says with what it said.
func check(t *testing.T, s string) (out string, err error) {
	t.Helper()
	out, changed, err := convertString(s)
	if err != nil {
		if out != "" {
			t.Errorf("%v, and yet %d bytes are written", err, len(out))
		}
		return "", err
	}
	if m, _ := measure(strings.NewReader(out)); !m.clean() {
		t.Errorf("not 7 bit: %+v\n%.3000q", m, out)
	}
	if changed == (out == s) {
		t.Errorf("changed is %t", changed)
	}
	was, is := leafs(s), leafs(out)
	if !reflect.DeepEqual(was, is) {
		t.Errorf("%.3000q\nbecame\n%.3000q\nwas %.2000s\nis  %.2000s", s, out, was, is)
	}
	a, b := structure(s).Envelope, structure(out).Envelope
	if message.DecodeHeader(a.Subject) != message.DecodeHeader(b.Subject) || names(a) != names(b) {
		t.Errorf("the envelope was %q %s, is %q %s", a.Subject, names(a), b.Subject, names(b))
	}
	return out, nil
}

func names(e message.Envelope) string {
	var b strings.Builder
	for _, list := range [][]message.Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		for _, a := range list {
			domain, err := rookery.NormalDomain(a.Host)
			if err != nil {
				domain = a.Host
			}
			fmt.Fprintf(&b, "%d %q <%s@%s>; ", a.Mark, strings.Join(strings.Fields(message.DecodeHeader(a.Name)), " "),
				message.DecodeHeader(a.Mailbox), domain)
		}
	}
	return b.String()
}

const head = "From: Alice <alice@example.com>\r\nTo: bob@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\n"

func multi(parts ...string) string {
	s := head + "Content-Type: multipart/mixed; boundary=\"b\"\r\nContent-Transfer-Encoding: 8bit\r\n\r\nThis is MIME.\r\n"
	for _, p := range parts {
		s += "--b\r\n" + p + "\r\n"
	}
	return s + "--b--\r\n"
}

const (
	text    = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
	pdf     = "Content-Type: application/pdf\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <c>\r\n\r\n"
	encoded = "Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
)

func TestConvert(t *testing.T) {
	long := strings.Repeat("line ", 400)
	for name, s := range map[string]string{
		"text":              head + text + "Grüße\r\n",
		"no line end":       head + text + "Grüße",
		"Vietnamese":        head + text + "Thư này viết bằng tiếng Việt, có nhiều dấu.\r\n",
		"blank at line end": head + text + "Grüße \t\r\nmore \r\n",
		"long lines":        head + text + long + "\r\n" + long,
		"without MIME":      "Subject: x\r\n\r\nGrüße\r\n",
		"Latin-1":           "Subject: x\r\n\r\nGr\xfc\xdfe\r\n",
		"no header":         "\r\nGrüße\r\n",
		"label twice":       head + "Content-Transfer-Encoding: 8BIT\r\nContent-Transfer-Encoding: 7bit\r\n\r\nGrüße\r\n",
		"parts":             multi(text+"Grüße\r\n\r\n", pdf+"%PDF\x00\xff\r\n\r\n\x01", "\r\nplain"),
		"a preamble":        strings.Replace(multi(text+"x"), "This is MIME", "Dies ist für MIME", 1),
		"an epilogue":       multi(text+"x") + "für\r\nnobody\r\n",
		"no last delimiter": strings.TrimSuffix(multi(text+"Grüße"), "--b--\r\n"),
		"hidden delimiter":  multi(text + strings.Repeat("ü", 23) + " --b and --b--\r\n" + strings.Repeat("y", 69) + "ü--b\r\n--"),
		"hidden From":       multi(text + strings.Repeat("y", 60) + "ü From here\r\nFrom there\r\n"),
		"nested":            multi("Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n"+text+"ü\r\n--c--\r\n", pdf+"\xff"),
		"enclosed":          multi("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: in\r\n\r\nGrüße\r\n"),
		"enclosed parts":    multi("Content-Type: message/rfc822\r\n\r\n" + multi(text+"Grüße", pdf+"\xff")),
		"base64 in a line":  multi(encoded+strings.Repeat("QUJD", 500), text+"ü"),
		"base64 with dirt":  multi(encoded + "QUJD\xe4\r\nQUJD"),
		"long quoted":       multi("Content-Transfer-Encoding: quoted-printable\r\n\r\n" + strings.Repeat("=C3=A4 b", 300)),
		"signed, 7 bit": multi("Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nsigned\r\n--s\r\n"+
			"Content-Type: application/pgp-signature\r\n\r\nx\r\n--s--", text+"ü"),
		"a subject": "Subject: Grüße aus Hà Nội " + strings.Repeat("ü ", 80) + "\r\n\r\nx",
		"names": "From: J\u00f6rg M\u00fcller <j@example.com>\r\n" +
			"To: \"M\u00fc, A.\" <m@b\u00fccher.example>, =?utf-8?q?=C3=A4?= <a@x.example>, b@x.example\r\n\r\nx",
		"groups": "To: a@x.example, Fre\u00fcnde: b@x.example, \u00dc <c@x.example>;, d@x.example\r\n\r\nx",
		"file names": multi("Content-Type: application/pdf; name=\"th\u01b0.pdf\"\r\n" +
			"Content-Disposition: attachment; filename=\"th\u01b0 n\u00e0y.pdf\"\r\n\r\nx"),
		"long header":  "References:" + strings.Repeat(" <id@example.com>", 100) + "\r\n\r\nx",
		"only header":  "Subject: ü\r\n",
		"bare ends":    head + "\r\na\rb\nc\r\n\x00ü\r",
		"empty parts":  multi("\r\n", text, "", text+"ü"),
		"sample":       strings.ReplaceAll(string(messagetest.Sample(20<<10)), "quarterly", "quartäly"),
		"large binary": multi(pdf + strings.Repeat("\xff\x00\r\n\r", 20_000)),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := check(t, s); err != nil {
				t.Error(err)
			}
		})
	}
}

// A message that is 7 bit stays as it is, whatever its labels say.
func TestUnchanged(t *testing.T) {
	for _, s := range []string{"", "Subject: x\r\n\r\nhello", multi(text+"hello", encoded+"QUJD"), string(messagetest.Sample(5000))} {
		if out, changed, err := convertString(s); err != nil || changed || out != s {
			t.Errorf("%.200q became %.200q: %t, %v", s, out, changed, err)
		}
	}
}

func TestEncodings(t *testing.T) {
	for name, c := range map[string]struct{ s, want string }{
		"little to escape": {multi(text + "a long line of text with one ü"), "Content-Transfer-Encoding: quoted-printable\r\n"},
		"much to escape":   {multi(text + "Thư điện tử"), "Content-Transfer-Encoding: base64\r\n"},
		"binary":           {multi(pdf + "%PDF a long line with few octets \xff"), "Content-Transfer-Encoding: base64\r\n"},
		"the multipart":    {multi(text + "ü"), "boundary=\"b\"\r\nContent-Transfer-Encoding: 7bit\r\n"},
		"MIME fields": {
			"Subject: x\r\n\r\nwith ü\r\n",
			"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
		},
		"unknown charset": {
			"Subject: x\r\n\r\na line of Latin \xfc\r\n",
			"Content-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: quoted-printable\r\n",
		},
	} {
		out, err := check(t, c.s)
		if err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v, %q lacks in %q", name, err, c.want, out)
		}
	}
}

func TestRefused(t *testing.T) {
	signed := "Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nü\r\n--s\r\n\r\nx\r\n--s--\r\n"
	deep := head
	for i := range 120 {
		deep += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%[1]d\r\n", i)
	}
	for name, c := range map[string]struct {
		s   string
		why error
	}{
		"signed":             {head + signed, ErrSealed},
		"signed within":      {multi(text+"x", signed), ErrSealed},
		"signed, enclosed":   {multi("Content-Type: message/rfc822\r\n\r\n" + head + signed), ErrSealed},
		"PGP/MIME":           {multi("Content-Type: multipart/encrypted; boundary=s\r\n\r\n--s\r\n\r\nü\r\n--s--"), ErrSealed},
		"S/MIME":             {multi("Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n\xff"), ErrSealed},
		"an address":         {"From: älice@example.com\r\n\r\nx", ErrHeader},
		"a message id":       {"Message-ID: <ä@example.com>\r\n\r\nx", ErrHeader},
		"a name":             {"Sübject: x\r\n\r\nx", ErrHeader},
		"no field":           {"Grüße\r\n\r\nx", ErrHeader},
		"a long word":        {"Subject: " + strings.Repeat("x", 1000) + "\r\n\r\nx", ErrHeader},
		"a NUL in a header":  {"Subject: \x00\r\n\r\nx", ErrHeader},
		"a large header":     {strings.Repeat("Subject: x\r\n", 100_000) + "\r\nü", ErrHeader},
		"an unknown label":   {multi("Content-Transfer-Encoding: x-uuencode\r\n\r\nü"), ErrStructure},
		"a broken multipart": {head + "Content-Type: multipart/mixed\r\n\r\nü", ErrStructure},
		"too deep":           {deep + "\r\nü", ErrStructure},
		"too many parts": {head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
			strings.Repeat("--b\r\n\r\n", message.MaxParts+1) + "ü", ErrStructure},
		"message/partial": {multi("Content-Type: message/partial; id=a\r\n\r\nü"), ErrStructure},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := check(t, c.s); !errors.Is(err, c.why) || !rookery.Is(err, rookery.KindInvalid) {
				t.Errorf("%v, want %v", err, c.why)
			}
		})
	}
}

// canonical gives whole line ends to messages made of hostile tokens.
func canonical(s string) string {
	return strings.ReplaceAll(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s), "\n", "\r\n")
}

func TestRandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 5))
	converted := 0
	for range 20_000 {
		s := canonical(messagetest.Random(rnd))
		for range rnd.IntN(3) {
			at := rnd.IntN(len(s) + 1)
			s = s[:at] + "ü" + s[at:]
		}
		s = strings.ReplaceAll(s, "\rü\n", "ü\r\n")
		if _, err := check(t, s); err == nil {
			converted++
		}
		if t.Failed() {
			t.Fatalf("%q", s)
		}
	}
	if converted < 10_000 {
		t.Errorf("only %d of 20,000 are converted", converted)
	}
}

// A large part costs no memory.
func TestStreams(t *testing.T) {
	s := multi(pdf + strings.Repeat("\xff\x00 some octets\r\n", 4<<20/16))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Convert(io.Discard, strings.NewReader(s), int64(len(s))); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
		t.Errorf("%d bytes of memory for %d", used, len(s))
	}
}

type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errors.New("the disk is full")
	}
	return len(p), nil
}

func TestWriterFails(t *testing.T) {
	s := multi(text+strings.Repeat("ü a line of text\r\n", 5000), pdf+strings.Repeat("\xff", 100_000))
	for _, room := range []int{0, 10, 40_000, 150_000} {
		if _, err := Convert(&full{room}, strings.NewReader(s), int64(len(s))); err == nil {
			t.Errorf("%d bytes: no error", room)
		}
	}
}

func FuzzConvert(f *testing.F) {
	f.Add(multi(text+"Grüße\r\n", pdf+"\xff\x00"))
	f.Add("From: Jörg <j@x.example>\r\nContent-Disposition: attachment; filename=ü\r\n\r\n--\r\n")
	f.Add("Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nü\r\n--b--")
	f.Fuzz(func(t *testing.T, s string) { check(t, canonical(s)) })
}
