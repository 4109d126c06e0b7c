package rookery

import (
	"strings"
	"testing"
)

// han is a name of n different characters, the worst for Punycode.
func han(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteRune(rune(0x4e00 + i*7919%20000))
	}
	return b.String()
}

func TestDomains(t *testing.T) {
	long := strings.Repeat("a", 63)
	for in, want := range map[string]string{
		"Example.COM.":                            "example.com",
		"b\u00fccher.example":                     "xn--bcher-kva.example",
		"_dmarc.example.com":                      "_dmarc.example.com",
		"[192.0.2.1]":                             "[192.0.2.1]",
		long + ".example":                         long + ".example",
		strings.Repeat(long+".", 3) + long:        strings.Repeat(long+".", 3) + long,
		long + "a.example":                        "",
		strings.Repeat(long+".", 3) + long + ".a": "",
		"a..b":                               "",
		".":                                  "",
		"":                                   "",
		"[" + strings.Repeat("1", 254) + "]": "",
		han(60) + ".example":                 "", // its A-label is too long
		strings.Repeat("xn--bcher-kva.", 19) + "b\u00fc": "",
	} {
		if got, err := NormalDomain(in); got != want || (err == nil) != (want != "") {
			t.Errorf("%.80q: %q, %v; want %q", in, got, err, want)
		}
	}
}

// TestLongDomainsCostNothing has names that idna would work on for as long as
// the square of their length: the refusal comes before it.
func TestLongDomainsCostNothing(t *testing.T) {
	for _, s := range []string{han(2000), han(2000) + ".example", strings.Repeat("\u6f22.", 1000), "[" + han(2000) + "]"} {
		_, err := NormalDomain(s)
		if err == nil || !strings.Contains(err.Error(), "longer than 255 octets") {
			t.Fatalf("%v", err)
		}
		if n := testing.AllocsPerRun(3, func() { NormalDomain(s) }); n > 4 {
			t.Errorf("%v allocations; the refusal needs no more than 4", n)
		}
	}
	if a := (Address{Local: "a", Domain: "xn--" + strings.Repeat("a", 300)}); a.UnicodeDomain() != a.Domain {
		t.Error("a name that NormalDomain never made was decoded")
	}
}
