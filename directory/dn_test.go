package directory

import (
	"strings"
	"testing"
)

func TestNormalDN(t *testing.T) {
	for dn, want := range map[string]string{
		"":                                     "",
		"CN=Anna,OU=People, DC=Example,dc=COM": "cn=anna,ou=people,dc=example,dc=com",
		"cn = Anna  Maria ; dc=x":              "cn=anna maria,dc=x",
		`cn=Meier\, Anna,dc=x`:                 `cn=meier\, anna,dc=x`,
		`cn=Meier\2c Anna,dc=x`:                `cn=meier\, anna,dc=x`,
		`cn="Meier, Anna",dc=x`:                `cn=meier\, anna,dc=x`,
		`cn=J\C3\BCrgen,dc=x`:                  "cn=jürgen,dc=x",
		"uid=a+cn=b,dc=x":                      "cn=b+uid=a,dc=x",
		"cn=a\x00b,dc=x":                       `cn=a\00b,dc=x`,
		"Not a name":                           "not a name",
		`cn=a\`:                                `cn=a\\`,
	} {
		if got := NormalDN(dn); got != want {
			t.Errorf("%q: %q, want %q", dn, got, want)
		}
	}
}

func FuzzNormalDN(f *testing.F) {
	for _, s := range []string{`cn="a,b"+x=\2C\,,dc=y`, `=`, `cn=\`, `a=b;c=d `, `cn=\ a\ ,dc=x`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n := NormalDN(s); len(s) < MaxDN/4 && strings.Contains(s, "=") && NormalDN(n) != n {
			t.Errorf("%q becomes %q becomes %q", s, n, NormalDN(n))
		}
	})
}

// The longest name is read at once, whatever is in it.
func TestLongNamesAreRead(t *testing.T) {
	for _, s := range []string{"a=", "+", "a=\\", "a=\"", " ", "a=b,", "a=\u0345,", "a=b+", "\\ "} {
		NormalDN(strings.Repeat(s, MaxDN/len(s)))
	}
}
