package publish

import (
	"net/netip"
	"strings"
)

// ofVersion are the texts that begin with a version, as policies at a name that
// holds other texts too.
func ofVersion(texts []string, version string) (list []string) {
	for _, t := range texts {
		if t == version || strings.HasPrefix(t, version+" ") {
			list = append(list, t)
		}
	}
	return list
}

// one gives the record among texts, or why there is not exactly one.
func one(found []string, what string) (text string, verdict Verdict, note string) {
	switch len(found) {
	case 0:
		return "", Missing, ""
	case 1:
		return found[0], Present, ""
	}
	return "", Different, "several " + what + " records are published: others then use none"
}

// judgeSPF asks of each address that sends whether the published record lets it
// pass. own is the term that stands for all of them.
func (r Record) judgeSPF(published []string, own string) (Verdict, string) {
	text, verdict, note := one(ofVersion(lowered(published), "v=spf1"), "SPF")
	if verdict != Present {
		return verdict, note
	}
	var lacking []string
	for _, term := range strings.Fields(r.Values[0]) {
		if strings.HasPrefix(term, "include:") && !strings.Contains(strings.ReplaceAll(text, " +", " ")+" ", " "+term+" ") {
			lacking = append(lacking, term)
		}
	}
	unsure := ""
	for _, a := range r.addresses {
		passes, other := evaluate(text, a, own)
		switch {
		case passes:
		case other != "":
			unsure = other
		default:
			lacking = append(lacking, a.String())
		}
	}
	switch {
	case len(lacking) > 0:
		return Different, "it does not cover " + strings.Join(lacking, ", ")
	case unsure != "":
		return CannotSay, "whether " + unsure + " covers the nodes is not looked up"
	}
	return Present, ""
}

// evaluate says whether an SPF record lets an address of a node pass, as far as
// its own text tells (RFC 7208 4.6.2). own is a term that is known to match; other
// is one that would have to be looked up.
func evaluate(text string, address netip.Addr, own string) (passes bool, other string) {
	for _, term := range strings.Fields(text)[1:] {
		qualifier := byte('+')
		if strings.IndexByte("+-~?", term[0]) >= 0 {
			qualifier, term = term[0], term[1:]
		}
		name, value, _ := strings.Cut(term, ":")
		matches := false
		switch {
		case name == "all":
			return qualifier == '+', other
		case name == "ip4" || name == "ip6":
			matches = within(value, address)
		case term == own:
			matches = true
		case strings.HasPrefix(term, "exp="):
		default:
			other = term
		}
		if matches {
			return qualifier == '+', other
		}
	}
	return false, other
}

// within says whether an address lies in that of an ip4 or ip6 term.
func within(value string, address netip.Addr) bool {
	if prefix, err := netip.ParsePrefix(value); err == nil {
		return prefix.Contains(address)
	}
	a, err := netip.ParseAddr(value)
	return err == nil && a == address
}

func lowered(texts []string) (list []string) {
	for _, t := range texts {
		list = append(list, strings.ToLower(t[:min(len(t), 4096)]))
	}
	return list
}
