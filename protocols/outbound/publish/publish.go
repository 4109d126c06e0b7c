// Package publish says what a mail domain has to publish in the DNS, and why:
// MX, A, AAAA, PTR, SPF, DKIM, DMARC, MTA-STS and TLSRPT records; and compares
// that with what is published. It owns the list, its reasons and the comparison.
//
// It never writes a zone, never asks the DNS but through the Resolver that it is
// handed, and never takes a failure to look for a missing record. What is the
// domain's own choice, as the policy of DMARC, it proposes and does not judge.
package publish

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"rookery"
	"rookery/protocols/outbound/dkim"
)

// Node is one node of the cluster as others see it.
type Node struct {
	// Name is the name that it announces in EHLO, as A-labels.
	Name string
	// Addresses are those that it sends from and is reached at.
	Addresses []netip.Addr
}

// Key is a DKIM key that is to be published.
type Key struct {
	Selector string
	State    dkim.State
	Record   string
}

// Facts are what the list is made of.
type Facts struct {
	// Domain is the mail domain, as A-labels.
	Domain string
	Nodes  []Node
	Keys   []Key
	// Includes are the domains whose SPF covers hosts that send for us, such as a
	// smart host.
	Includes []string
	// Reports gets the reports of others on our mail.
	Reports rookery.Address
	// STS is the id of the MTA-STS policy that the nodes serve over HTTPS; empty
	// where none is served.
	STS string
}

// Type is the type of a record.
type Type string

// The types.
const (
	MX   Type = "MX"
	A    Type = "A"
	AAAA Type = "AAAA"
	PTR  Type = "PTR"
	TXT  Type = "TXT"
)

// purpose is what a record is for, and so how it is compared.
type purpose uint8

const (
	forMail purpose = iota
	forAddress
	forPointer
	forSPF
	forHello
	forDKIM
	forDMARC
	forSTS
	forTLSRPT
)

// Record is what is to be published at one name and type.
type Record struct {
	Name   string // A-labels, without a trailing dot
	Type   Type
	Values []string // MX as "10 host"; TXT not yet split into strings
	// Why says what goes wrong without it.
	Why string

	purpose   purpose
	addresses []netip.Addr // of a PTR, or that SPF has to let pass
}

// Zone gives the lines of the record for a zone file (RFC 1035 5.1).
func (r Record) Zone() (lines []string) {
	for _, v := range r.Values {
		switch r.Type {
		case MX, PTR:
			v += "."
		case TXT:
			var quoted []string
			for _, s := range dkim.Strings(v) {
				quoted = append(quoted, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s)+`"`)
			}
			v = strings.Join(quoted, " ")
		}
		lines = append(lines, fmt.Sprintf("%s. IN %s %s", r.Name, r.Type, v))
	}
	return lines
}

// Records lists what the domain has to publish, what is needed most first.
// Error: KindInvalid where a fact is missing or malformed.
func Records(f Facts) ([]Record, error) {
	if err := f.check(); err != nil {
		return nil, rookery.E("list the records to publish", rookery.KindInvalid, err)
	}
	var list []Record
	mx := Record{Name: f.Domain, Type: MX, purpose: forMail,
		Why: "without it others do not know where mail for the domain goes; all nodes take it alike"}
	for _, n := range f.Nodes {
		mx.Values = append(mx.Values, "10 "+n.Name)
	}
	list = append(list, mx)
	for _, n := range f.Nodes {
		list = append(list, hosts(n.Name, n.Addresses, "without it the node is not reached under its name")...)
	}
	for _, n := range f.Nodes {
		for _, a := range n.Addresses {
			list = append(list, Record{Name: reverse(a), Type: PTR, Values: []string{n.Name}, purpose: forPointer, addresses: []netip.Addr{a},
				Why: "many refuse mail from an address whose name does not point back; it is set by whoever gave you the address"})
		}
	}
	list = append(list, f.spf())
	for _, n := range f.Nodes {
		if n.Name == f.Domain {
			continue // the domain's record covers it
		}
		list = append(list, Record{Name: n.Name, Type: TXT, Values: []string{"v=spf1 a -all"}, purpose: forHello, addresses: n.Addresses,
			Why: "bounces have no sender: SPF then asks about the name that the node announces (RFC 7208 2.4)"})
	}
	for _, k := range f.Keys {
		list = append(list, k.In(f.Domain))
	}
	return append(list, f.policies()...), nil
}

// In is the record of a key of a domain, as A-labels.
func (k Key) In(domain string) Record {
	return Record{Name: dkim.RecordName(k.Selector, domain), Type: TXT, Values: []string{k.Record}, purpose: forDKIM, Why: whyKey[k.State]}
}

var whyKey = map[dkim.State]string{
	dkim.Prepared: "the key does not sign before this is seen: it takes over then",
	dkim.Active:   "the key signs now: without it every signature fails",
	dkim.Retired:  "the key signs no more, but mail that it has signed is still on the way",
}

// hosts are the address records of a name.
func hosts(name string, addresses []netip.Addr, why string) (list []Record) {
	four := Record{Name: name, Type: A, Why: why, purpose: forAddress}
	six := Record{Name: name, Type: AAAA, Why: why, purpose: forAddress}
	for _, a := range addresses {
		if a.Is4() {
			four.Values = append(four.Values, a.String())
		} else {
			six.Values = append(six.Values, a.String())
		}
	}
	for _, r := range []Record{four, six} {
		if len(r.Values) > 0 {
			list = append(list, r)
		}
	}
	return list
}

// spf names all addresses that send, so that none has to be looked up
// (RFC 7208 4.6.4 bounds look-ups).
func (f *Facts) spf() Record {
	terms := []string{"v=spf1"}
	var all []netip.Addr
	for _, n := range f.Nodes {
		all = append(all, n.Addresses...)
		for _, a := range n.Addresses {
			if a.Is4() {
				terms = append(terms, "ip4:"+a.String())
			} else {
				terms = append(terms, "ip6:"+a.String())
			}
		}
	}
	for _, i := range f.Includes {
		terms = append(terms, "include:"+i)
	}
	return Record{Name: f.Domain, Type: TXT, Values: []string{strings.Join(append(terms, "~all"), " ")}, purpose: forSPF, addresses: all,
		Why: "it names the hosts that send for the domain; mail from a node that it leaves out is refused or taken for spam"}
}

// policies are what the domain asks of others.
func (f *Facts) policies() []Record {
	list := []Record{{Name: "_dmarc." + f.Domain, Type: TXT, Values: []string{"v=DMARC1; p=none; rua=mailto:" + mailto(f.Reports)},
		purpose: forDMARC,
		Why:     "large providers want it; when the reports show that all your mail passes, make it p=quarantine or p=reject"}}
	if f.STS != "" {
		var all []netip.Addr
		for _, n := range f.Nodes {
			all = append(all, n.Addresses...)
		}
		list = append(list, Record{Name: "_mta-sts." + f.Domain, Type: TXT, Values: []string{"v=STSv1; id=" + f.STS},
			purpose: forSTS, Why: "others then send to you over verified TLS alone; the id changes with the policy"})
		list = append(list, hosts("mta-sts."+f.Domain, all, "the policy of MTA-STS is fetched from there")...)
	}
	return append(list, Record{Name: "_smtp._tls." + f.Domain, Type: TXT, Values: []string{"v=TLSRPTv1; rua=mailto:" + mailto(f.Reports)},
		purpose: forTLSRPT, Why: "others then report when they cannot send to you over TLS"})
}

// mailto is the address in a URI (RFC 6068 2); , and ! part reports' URIs.
func mailto(a rookery.Address) string {
	var b strings.Builder
	for _, c := range []byte(a.Local) {
		if c > ' ' && c < 0x7f && strings.IndexByte(`"#%&,/;<>?!@[\]^`+"`{|}()", c) < 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String() + "@" + a.Domain
}

// reverse is the name of an address's PTR record (RFC 1035 3.5, RFC 3596 2.5).
func reverse(a netip.Addr) string {
	var b strings.Builder
	if a.Is4() {
		octets := a.As4()
		for i := 3; i >= 0; i-- {
			b.WriteString(strconv.Itoa(int(octets[i])) + ".")
		}
		return b.String() + "in-addr.arpa"
	}
	octets := a.As16()
	for i := 15; i >= 0; i-- {
		fmt.Fprintf(&b, "%x.%x.", octets[i]&15, octets[i]>>4)
	}
	return b.String() + "ip6.arpa"
}

// check refuses facts of which no list can be made, and brings addresses into one
// form.
func (f *Facts) check() error {
	if len(f.Nodes) == 0 {
		return errors.New("there is no node")
	}
	names := append([]string{f.Domain}, f.Includes...)
	nodes := make([]Node, len(f.Nodes))
	for i, n := range f.Nodes {
		names = append(names, n.Name)
		if len(n.Addresses) == 0 {
			return fmt.Errorf("the node %.255q has no address", n.Name)
		}
		nodes[i] = Node{Name: n.Name}
		for _, a := range n.Addresses {
			if !a.IsValid() {
				return fmt.Errorf("an address of the node %.255q is malformed", n.Name)
			}
			nodes[i].Addresses = append(nodes[i].Addresses, a.Unmap().WithZone(""))
		}
	}
	for _, name := range names {
		if normal, err := rookery.NormalDomain(name); err != nil || normal != name || strings.HasPrefix(name, "[") {
			return fmt.Errorf("%.255q is no domain name in A-labels and lower case", name)
		}
	}
	if f.Reports.Local == "" || f.Reports.Domain == "" {
		return errors.New("there is no address for reports")
	}
	f.Nodes = nodes
	return nil
}
