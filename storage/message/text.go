package message

import (
	"io"
	"rookery/storage/message/decode"
)

// Text reads a part's text in UTF-8: r gives its raw body; the transfer encoding
// and the charset are undone, as far as they are known and intact. Bytes of an
// unknown charset are kept.
func Text(p *Part, r io.Reader) io.Reader {
	r, _ = decode.Transfer(p.Encoding, r)
	r, _ = decode.Charset(p.Param("charset"), r)
	return r
}

// PlainText is Text, with tags, comments and entities of text/html undone and
// style sheets and scripts left out.
func PlainText(p *Part, r io.Reader) io.Reader {
	r = Text(p, r)
	if p.Is("text", "html") {
		return newHTMLReader(r)
	}
	return r
}
