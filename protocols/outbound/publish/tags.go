package publish

import (
	"fmt"
	"strings"
)

// versions are what the tag lists of purposes begin with.
var versions = map[purpose]string{forDKIM: "DKIM1", forDMARC: "DMARC1", forSTS: "STSv1", forTLSRPT: "TLSRPTv1"}

// judgeTags compares records that are lists of tags: DKIM keys and MTA-STS by what
// has to be equal, policies that are the domain's choice by whether they work.
func (r Record) judgeTags(published []string) (Verdict, string) {
	version := versions[r.purpose]
	var found []string
	for _, text := range published {
		// v= may lack in a key (RFC 6376 3.6.1), in nothing else.
		if v, ok := tag(text, "v"); ok && v == version || !ok && r.purpose == forDKIM {
			found = append(found, text)
		}
	}
	text, verdict, note := one(found, version)
	if verdict != Present {
		if verdict == Missing && len(published) > 0 {
			return Different, fmt.Sprintf("none of the texts there is a record of %s", version)
		}
		return verdict, note
	}
	switch r.purpose {
	case forDKIM:
		return r.sameTags(text, "p", "k")
	case forSTS:
		return r.sameTags(text, "id")
	case forDMARC:
		if p, _ := tag(text, "p"); p != "none" && p != "quarantine" && p != "reject" {
			return Different, "it has no policy (p=none, quarantine or reject)"
		}
		return Present, ""
	}
	if rua, _ := tag(text, "rua"); rua == "" {
		return Different, "it names nobody who gets the reports (rua=)"
	}
	return Present, ""
}

// sameTags wants tags to have the values of ours.
func (r Record) sameTags(text string, names ...string) (Verdict, string) {
	for _, name := range names {
		want, _ := tag(r.Values[0], name)
		have, ok := tag(text, name)
		if name == "k" && !ok {
			have = "rsa" // RFC 6376 3.6.1
		}
		switch {
		case have == want:
		case name == "p" && have == "":
			return Different, "the key is published as revoked (empty p=)"
		case name == "p":
			return Different, "another key is published (p=)"
		default:
			return Different, fmt.Sprintf("%s= is %.64q, not %.64q", name, have, want)
		}
	}
	return Present, ""
}

// tag finds a tag in a list of tag=value, parted by semicolons; white space is
// none of the value (RFC 6376 3.2). The first of several counts.
func tag(text, name string) (value string, ok bool) {
	for t := range strings.SplitSeq(text[:min(len(text), 8<<10)], ";") {
		n, v, eq := strings.Cut(t, "=")
		if eq && strings.TrimSpace(n) == name {
			return strings.Join(strings.Fields(v), ""), true
		}
	}
	return "", false
}
