package dns

import (
	"fmt"
	"strings"

	mdns "github.com/miekg/dns"

	"rookery"
)

// normal is the name as questions and answers hold it: A-labels in lower case,
// without a trailing dot.
func normal(name string) (string, error) {
	n, err := rookery.NormalDomain(name)
	if err != nil {
		return "", err
	}
	if _, ok := mdns.IsDomainName(n); !ok || strings.HasPrefix(n, "[") {
		return "", fmt.Errorf("%.200q is not a domain name", name)
	}
	return n, nil
}

// target is a name out of a record, which the module gives in the form of zone
// files. Labels in UTF-8, which some zones hold, become A-labels.
func target(name string) (string, error) { return normal(unescape(name)) }

// fold is how names out of records compare.
func fold(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// unescape undoes the form of zone files (RFC 1035 5.1): \DDD is an octet by its
// decimal number, \X is X.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			if i++; i+2 < len(s) && digit(s[i]) && digit(s[i+1]) && digit(s[i+2]) {
				c = (s[i]-'0')*100 + (s[i+1]-'0')*10 + s[i+2] - '0'
				i += 2
			} else {
				c = s[i]
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
