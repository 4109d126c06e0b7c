package message

import "strings"

// Part is one body part. Type, Subtype and Encoding are never empty, a
// multipart has at least one child, and a message/rfc822 or message/global
// part has a Message, however broken the message is.
type Part struct {
	// Type and Subtype are as written, in lower case.
	Type, Subtype string
	// Params are the Content-Type parameters, names in lower case, values
	// unquoted and otherwise raw: RFC 2231 forms (name*0*) and RFC 2047
	// words stay. See Param.
	Params [][2]string
	// ID and Description are the raw Content-ID and Content-Description.
	ID, Description string
	// Encoding is the Content-Transfer-Encoding in lower case, "7bit" if
	// absent.
	Encoding string
	// MD5 and Location are the raw Content-MD5 and Content-Location.
	MD5, Location string
	// Disposition is in lower case, "" if the field is absent.
	Disposition       string
	DispositionParams [][2]string
	// Language holds the tags of Content-Language.
	Language []string

	// Offset is where the part's header begins in the message, in bytes.
	Offset int64
	// HeaderLen is the header's length with the blank line. The header of
	// the whole message belongs to the root part.
	HeaderLen int64
	// BodyOffset is Offset+HeaderLen.
	BodyOffset int64
	// BodyLen is the body's length in bytes, as encoded in the message.
	BodyLen int64
	// Lines counts the line ends in the body.
	Lines int64

	// Parts are the children of a multipart.
	Parts []*Part
	// Message is set for message/rfc822 and message/global.
	Message *Enclosed
}

// Enclosed is a message inside a message. Its Structure begins at the part's
// BodyOffset.
type Enclosed struct {
	Envelope  Envelope
	Structure *Part
}

// Size is the body's size in octets as BODYSTRUCTURE gives it.
func (p *Part) Size() int64 { return p.BodyLen }

// Header is the range of the part's header (BODY[n.MIME]; of a message's
// structure BODY[n.HEADER]).
func (p *Part) Header() Section { return Section{p.Offset, p.HeaderLen} }

// Body is the range of the part's body (BODY[n]; of a message's structure
// BODY[n.TEXT]).
func (p *Part) Body() Section { return Section{p.BodyOffset, p.BodyLen} }

// Is reports whether the part has the media type, given in lower case. An
// empty subtype matches all.
func (p *Part) Is(typ, subtype string) bool {
	return p.Type == typ && (subtype == "" || p.Subtype == subtype)
}

// Find gives the part a section number names (RFC 9051 6.4.5), nil if there is
// none. An empty path is p itself. Numbers go through an enclosed message as
// if its multipart were the part itself; part 1 of anything that is not a
// multipart is its own body.
func (p *Part) Find(path []uint32) *Part {
	for i, n := range path {
		at := p
		if i > 0 && p.Message != nil {
			at = p.Message.Structure
		}
		switch {
		case len(at.Parts) > 0 && n >= 1 && int64(n) <= int64(len(at.Parts)):
			p = at.Parts[n-1]
		case len(at.Parts) == 0 && n == 1 && (i == 0 || p.Message != nil):
			p = at
		default:
			return nil
		}
	}
	return p
}

// Walk calls fn for p and every part below it, parents first, through enclosed
// messages, until fn returns false.
func (p *Part) Walk(fn func(*Part) bool) bool {
	if !fn(p) {
		return false
	}
	for _, c := range p.Parts {
		if !c.Walk(fn) {
			return false
		}
	}
	return p.Message == nil || p.Message.Structure.Walk(fn)
}

// Param gives a Content-Type parameter in UTF-8, with RFC 2231 continuations
// joined and RFC 2047 words decoded; "" if absent.
func (p *Part) Param(name string) string { return param(p.Params, strings.ToLower(name)) }

// DispositionParam does the same for Content-Disposition.
func (p *Part) DispositionParam(name string) string {
	return param(p.DispositionParams, strings.ToLower(name))
}

// Filename is the name the sender gave the part, in UTF-8: the disposition's
// filename, else the type's name; "" if none.
func (p *Part) Filename() string {
	if s := p.DispositionParam("filename"); s != "" {
		return s
	}
	return p.Param("name")
}
