package message

import (
	"io"
	"rookery/storage/message/decode"
	"strings"
	"testing"
	"testing/iotest"
)

func TestDecodeHeader(t *testing.T) {
	for in, want := range map[string]string{
		"":                                       "",
		"plain":                                  "plain",
		"=?utf-8?q?a=C3=A4_b?=":                  "aä b",
		"=?UTF-8?B?w6Q=?=":                       "ä",
		"x =?utf-8?q?a?= =?utf-8?q?b?= y":        "x ab y",
		"=?utf-8?q?a?=\r\n =?iso-8859-1?q?=E4?=": "aä",
		"=?utf-8?b?ww==?= =?utf-8?B?pA==?=":      "ä", // a character split between words
		"=?iso-2022-jp?B?GyRCJCIbKEI=?=":         "あ",
		"=?windows-1251?Q?=CF=F0?=":              "Пр",
		"=?ks_c_5601-1987?B?sKE=?=":              "가",
		"=?gb2312?B?xOM=?=":                      "你",
		"=?koi8-r?Q?=F0?=":                       "П",
		"=?utf-8*de?q?a?=":                       "a",
		"=?no-such?q?a?= b":                      "=?no-such?q?a?= b",
		"=?utf-8?x?a?=":                          "=?utf-8?x?a?=",
		"=?utf-8?q?open":                         "=?utf-8?q?open",
		"gr\xfc\xdfe":                            "grüße",
		"grüße":                                  "grüße",
		"=?utf-7?Q?+AOQ-?=":                      "ä",
		"a=?utf-8?q?b?=c":                        "abc",
		"=?utf-8?q?a b?=":                        "a b",
	} {
		if got := DecodeHeader(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestTransfer(t *testing.T) {
	for _, tt := range []struct{ encoding, in, want string }{
		{"base64", "aGVs\r\nbG8=\r\n", "hello"},
		{"BASE64", "aGVsbG8", "hello"},
		{"base64", "aA==aQ==", "hi"},
		{"base64", "!a@G V*s-bG8=", "hello"},
		{"base64", "a", ""},
		{"quoted-printable", "a=3Db=\r\nc  \r\nd=\n", "a=bc\r\nd"},
		{"quoted-printable", "a=zz=4", "a=zz=4"},
		{"quoted-printable", "a= \t\r\nb=c3=a4", "abä"},
		{"quoted-printable", "a \t b \r\n", "a \t b\r\n"},
		{"quoted-printable", "a=", "a"},
		{"8bit", "a=3D", "a=3D"},
	} {
		for _, wrap := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader} {
			r, ok := decode.Transfer(tt.encoding, wrap(strings.NewReader(tt.in)))
			got, err := io.ReadAll(r)
			if !ok || err != nil || string(got) != tt.want {
				t.Errorf("%s %q: %q, %v, %v", tt.encoding, tt.in, got, ok, err)
			}
		}
		if n, err := decode.DecodedSize(tt.encoding, strings.NewReader(tt.in)); err != nil || n != int64(len(tt.want)) {
			t.Errorf("%s %q: size %d, %v", tt.encoding, tt.in, n, err)
		}
	}
	if _, ok := decode.Transfer("x-uuencode", strings.NewReader("")); ok {
		t.Error("x-uuencode is known")
	}
	if _, err := decode.DecodedSize("x", strings.NewReader("")); err == nil {
		t.Error("x has a size")
	}
}

func TestCharset(t *testing.T) {
	for _, tt := range []struct{ charset, in, want string }{
		{"utf-8", "ä", "ä"}, {"", "\xe4", "\xe4"}, {"no-such", "\xe4", "\xe4"},
		{"ISO-8859-15", "\xa4", "€"}, {"cp1252", "\x80", "€"}, {"windows-1258", "\xfe", "₫"},
		{"shift_jis", "\x82\xa0", "あ"}, {"euc-jp", "\xa4\xa2", "あ"}, {"gb18030", "\xc4\xe3", "你"},
		{"cp949", "\xb0\xa1", "가"}, {"big5", "\xa7\x41", "你"}, {"ibm850", "\x84", "ä"}, {"\"utf-8\"", "a", "a"},
		{"unicode-1-1-utf-7", "a+AOQ-b+-c +2D3eAA", "aäb+c 😀"}, {"hz-gb-2312", "~{Dc~}", "你"},
		{"iso-2022-kr", "a", "a"},
	} {
		r, _ := decode.Charset(tt.charset, iotest.OneByteReader(strings.NewReader(tt.in)))
		if got, err := io.ReadAll(r); err != nil || string(got) != tt.want {
			t.Errorf("%s: %q, %v", tt.charset, got, err)
		}
	}
	for name, want := range map[string]bool{"utf-8": true, "US-ASCII": true, "koi8-u": true, "x-none": false, "iso-2022-cn": false} {
		if _, ok := decode.Charset(name, strings.NewReader("")); ok != want {
			t.Errorf("Charset(%q) is known: %v", name, ok)
		}
	}
}

func TestPlainText(t *testing.T) {
	p := &Part{Type: "text", Subtype: "html"}
	for in, want := range map[string]string{
		"<p>a</p>b":                         " a b",
		"a<b>b</b>c":                        "abc",
		"a &amp; b&nbsp;&#228;&nosuch; & c": "a & b\u00a0ä&nosuch; & c",
		"<style>x</style><!-- <p> -- > -->y</style>z": " yz",
		"a < b <": "a < b <",
		"<TITLE>t</TITLE>x<script>if (a<b) '</p>'</SCRIPT>y": "xy",
		"<!doctype html><a href=x>l</a>":                     " l",
		"<!--->x-->y":                                        "y",
	} {
		got, err := io.ReadAll(PlainText(p, iotest.OneByteReader(strings.NewReader(in))))
		if want = strings.ReplaceAll(want, "</style>", ""); err != nil ||
			strings.Join(strings.Fields(string(got)), " ") != strings.Join(strings.Fields(want), " ") {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
}

func TestPreview(t *testing.T) {
	for _, tt := range []struct{ msg, want string }{
		{"\n\n", ""},
		{"\n  Hello \n\n wor\u200bld\t!\n", "Hello wor ld !"},
		{"Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n<style>p {}</style><p>Gr=C3=BC=C3=9Fe</p>", "Grüße"},
		{"Content-Type: text/plain; charset=iso-8859-1\n\n\xe4", "ä"},
		{"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Disposition: attachment\n\nno\n--a\n\n \n--a\nContent-Type: " +
			"text/html\n\nyes\n--a\n\nlater\n--a--", "yes"},
		{"Content-Type: image/png\n\nx", ""},
		{"\n" + strings.Repeat("ab ", 100), strings.TrimSpace(strings.Repeat("ab ", 67)[:200])},
		{"Content-Type: multipart/mixed; boundary=a\n\npreamble\n--a\n\nfirst\n--a--\nepilogue", "first"},
	} {
		if got := extractString(t, crlf(tt.msg)).Preview; got != tt.want {
			t.Errorf("%q: %q, want %q", tt.msg, got, tt.want)
		}
	}
}
