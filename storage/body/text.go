package body

import "io"

// DecodeHeader decodes the RFC 2047 words of a header field into UTF-8.
// Unknown charsets and broken words stay as they are; 8-bit text that is not
// UTF-8 is read as windows-1252.
func DecodeHeader(s string) string { panic("unwritten") }

// Text reads a part's text in UTF-8: r gives its raw body; the transfer encoding
// and the charset are undone, as far as they are known and intact.
func Text(p *Part, r io.Reader) io.Reader { panic("unwritten") }

// PlainText is Text with the tags of text/html removed.
func PlainText(p *Part, r io.Reader) io.Reader { panic("unwritten") }

// Transfer undoes a Content-Transfer-Encoding, skipping what is broken. ok is
// false, and r returned unchanged, if the encoding is not known.
func Transfer(encoding string, r io.Reader) (decoded io.Reader, ok bool) { panic("unwritten") }

// DecodedSize counts the bytes Transfer gives, for BINARY.SIZE (RFC 3516).
// KindInvalid if the encoding is not known.
func DecodedSize(encoding string, r io.Reader) (int64, error) { panic("unwritten") }

// Charset reads r, in the named charset, as UTF-8. ok is false, and r returned
// unchanged, if the charset is not known.
func Charset(name string, r io.Reader) (utf8 io.Reader, ok bool) { panic("unwritten") }

func param(params [][2]string, name string) string { panic("unwritten") }
