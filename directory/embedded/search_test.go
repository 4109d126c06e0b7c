package embedded

import (
	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// searchWith is a search request below the base with a compiled filter.
func searchWith(filter *ber.Packet) *ber.Packet {
	p := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchRequest, nil, "")
	p.AppendChild(octetString("dc=example,dc=test"))
	for _, tag := range []ber.Tag{ber.TagEnumerated, ber.TagEnumerated, ber.TagInteger, ber.TagInteger} {
		p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, tag, int64(2), ""))
	}
	p.AppendChild(ber.NewBoolean(ber.ClassUniversal, ber.TypePrimitive, ber.TagBoolean, false, ""))
	p.AppendChild(filter)
	p.AppendChild(ber.NewSequence(""))
	return p
}
