package decode

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/transform"
)

// Charset reads r, in the named charset, as UTF-8. ok is false, and r returned
// unchanged, if the charset is not known. US-ASCII and UTF-8 are not touched:
// 8-bit bytes in them pass as they are.
func Charset(name string, r io.Reader) (decoded io.Reader, ok bool) {
	name = charsetName(name)
	switch name {
	case "", "us-ascii", "ascii", "ansi_x3.4-1968", "utf-8", "utf8", "unicode-1-1-utf-8":
		return r, true
	case "utf-7", "unicode-1-1-utf-7", "utf7", "csunicode11utf7":
		return &utf7Reader{r: r}, true
	}
	if enc := charsetEncoding(name); enc != nil {
		return transform.NewReader(r, enc.NewDecoder()), true
	}
	return r, false
}

// charsetName is a charset's name in lower case without quotes and without the
// language of RFC 2231.
func charsetName(name string) string {
	name, _, _ = strings.Cut(name, "*")
	return strings.ToLower(strings.Trim(name, " \t\"'"))
}

// charsetEncoding finds an encoding by the names real mail uses; nil for none.
func charsetEncoding(name string) encoding.Encoding {
	switch name {
	case "hz-gb-2312":
		return simplifiedchinese.HZGB2312
	case "cp850", "ibm850":
		return charmap.CodePage850
	case "cp437", "ibm437":
		return charmap.CodePage437
	case "iso-2022-kr", "iso-2022-cn", "iso-2022-cn-ext", "replacement":
		return nil // known to the index only as what must not be decoded
	}
	for _, n := range charsetAliases(name) {
		if enc, err := htmlindex.Get(n); err == nil {
			return enc
		}
	}
	if enc, err := ianaindex.MIME.Encoding(name); err == nil {
		return enc // nil if the name is known and the encoding is not
	}
	return nil
}

// charsetAliases gives the name, and what else may be meant by it.
func charsetAliases(name string) []string {
	names := []string{name}
	for _, family := range [][2]string{
		{"cp125", "windows-125"}, {"win-125", "windows-125"}, {"win125", "windows-125"},
		{"iso8859-", "iso-8859-"}, {"iso_8859-", "iso-8859-"}, {"iso 8859-", "iso-8859-"}, {"8859-", "iso-8859-"},
	} {
		if rest, ok := strings.CutPrefix(name, family[0]); ok {
			names = append(names, family[1]+rest)
		}
	}
	switch name {
	case "ks_c_5601-1989", "ksc5601", "cp949", "ms949", "uhc", "x-windows-949":
		names = append(names, "euc-kr")
	case "cp932", "ms932", "sjis", "x-ms-cp932", "shift-jis":
		names = append(names, "shift_jis")
	case "cp936", "ms936", "gb2312-80", "x-gbk":
		names = append(names, "gbk")
	case "cp950", "big-5", "x-big5":
		names = append(names, "big5")
	case "koi8r":
		names = append(names, "koi8-r")
	case "iso-8859-8-i", "iso-8859-8-e":
		names = append(names, "iso-8859-8")
	case "latin-1", "iso-latin-1", "iso8859_1", "8859_1":
		names = append(names, "iso-8859-1")
	}
	return names
}

// InUTF8 decodes b; ok is false if the charset is not known.
func InUTF8(charset string, b []byte) (string, bool) {
	if n := charsetName(charset); n == "utf-8" || n == "utf8" || n == "us-ascii" || n == "" {
		return ToUTF8(string(b)), true
	}
	r, ok := Charset(charset, bytes.NewReader(b))
	if !ok {
		return "", false
	}
	out, err := io.ReadAll(r)
	return strings.ToValidUTF8(string(out), "\uFFFD"), err == nil
}

// ToUTF8 takes text of no known charset: UTF-8 if it can be, else
// windows-1252.
func ToUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	out, err := charmap.Windows1252.NewDecoder().String(s)
	if err != nil {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return out
}
