package embedded

import (
	"bufio"
	"bytes"
	"rookery/directory/embedded/ldif"
	"strings"
	"testing"

	goldap "github.com/go-ldap/ldap/v3"
	"github.com/google/go-cmp/cmp"
)

func FuzzLDIF(f *testing.F) {
	for _, s := range []string{
		"version: 1\n\ndn: dc=test\nobjectClass: top\ncn:: w6Q=\n\n",
		"dn: uid=a,dc=test\r\nuid: a\r\ndescription: folded\r\n  line\r\n\r\n# comment\r\n over lines\r\ndn: b=c\r\nb: c",
		"dn:\nx:\n", "dn: a=b\nx:< file:///etc/passwd\n", " x\n", "dn: a=b\nchangetype: add\n", "a: b\n", "dn: a=b\nx:: !\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		read := func(s string) (all []ldif.Record, err error) {
			err = ldif.Read(strings.NewReader(s), func(r ldif.Record) error { all = append(all, r); return nil })
			return all, err
		}
		first, err := read(in)
		if err != nil {
			return
		}
		var buf bytes.Buffer
		w := bufio.NewWriter(&buf)
		w.WriteString("version: 1\n\n")
		for _, r := range first {
			ldif.Write(w, r)
		}
		w.Flush()
		for line := range strings.SplitSeq(buf.String(), "\n") {
			if len(line) > ldif.LineWidth {
				t.Fatalf("a line of %d bytes", len(line))
			}
		}
		again, err := read(buf.String())
		if err != nil {
			t.Fatalf("own output is not read: %v\n%q", err, buf.String())
		}
		if diff := cmp.Diff(first, again, cmp.AllowUnexported(ldif.Record{})); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		"(uid=alice)", "(&(a=b)(|(c=d)(!(e=*))))", "(cn=a*b*c)", "(x>=3)", "(x<=3)", "(cn~=y)", "(cn:dn:2.5.13.2:=z)", "(:caseExactMatch:=Q)",
		`(cn=\2a\28\29\5c)`, "(member=uid=a,dc=x)", "(userAccountControl:1.2.840.113556.1.4.803:=2)", "(cn=* *)", "(cn=)",
	} {
		f.Add(s)
	}
	d, err := parseDN("uid=alice,ou=people,dc=example,dc=test")
	if err != nil {
		f.Fatal(err)
	}
	e := newEntry(d)
	e.set("uid", "alice")
	e.set("cn", "Alice  Test", "ünïcode *()\\")
	e.set("x", "3", "-7", "text")
	e.set("member", "uid=A, dc=X")
	e.set("userAccountControl", "514")
	e.set("userPassword", "hidden")
	hidden := func(k string) bool { return k == "userpassword" }
	f.Fuzz(func(t *testing.T, s string) {
		p, err := goldap.CompileFilter(s)
		if err != nil {
			return
		}
		m, err := decodeMessage(envelope(1, searchWith(p)).Bytes())
		if err != nil {
			return
		}
		parsed, err := parseFilter(m.op.Children[6])
		if err != nil {
			return
		}
		got := parsed.match(e, hidden)
		if not := (&filter{op: opNot, kids: []*filter{parsed}}).match(e, hidden); not != yes-got {
			t.Fatalf("%s is %d and its negation %d", s, got, not)
		}
		if strings.Contains(strings.ToLower(s), "userpassword") {
			return
		}
		both := (&filter{op: opAnd, kids: []*filter{parsed, {op: opPresent, attr: "userPassword"}}}).match(e, hidden)
		if both == yes {
			t.Fatalf("%s and something undefined is true", s)
		}
	})
}

func FuzzMessage(f *testing.F) {
	p, _ := goldap.CompileFilter("(uid=*)")
	f.Add(envelope(1, searchWith(p)).Bytes())
	f.Add([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff})
	f.Add([]byte("GET / HTTP/1.0\r\n\r\n"))
	s, err := prepare(Options{AdminPassword: "x"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := readMessage(bufio.NewReader(bytes.NewReader(in)), maxAnonymous)
		if err != nil {
			return
		}
		var out bytes.Buffer
		c := &conn{s: s, r: bufio.NewReader(&out), w: bufio.NewWriter(&out)}
		c.handle(m) // must not panic
		c.who, c.whoKey, c.admin = s.opts.AdminDN, s.adminDN, true
		c.handle(m)
	})
}
