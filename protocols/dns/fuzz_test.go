package dns

import (
	"errors"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

// FuzzAnswer reads whatever a server may send: no panic, a bounded chain, and
// "there is none" only where the answer says so.
func FuzzAnswer(f *testing.F) {
	seed := func(rcode int, lines ...string) {
		m := new(mdns.Msg)
		m.SetQuestion("a.example.", mdns.TypeA)
		m.Response, m.Rcode = true, rcode
		for _, l := range lines {
			rr, err := mdns.NewRR(l)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	seed(0, "a.example. 300 IN A 192.0.2.1")
	seed(0, "a.example. 300 IN CNAME b.example.", "b.example. 300 IN A 192.0.2.1")
	seed(0, "a.example. 300 IN CNAME b.example.", "b.example. 300 IN CNAME a.example.")
	seed(3, "a.example. 300 IN CNAME b.example.")
	f.Fuzz(func(t *testing.T, b []byte) {
		msg := new(mdns.Msg)
		if msg.Unpack(b) != nil {
			return
		}
		c := chain{qtype: mdns.TypeA, name: "a.example", ttl: time.Hour, seen: map[string]bool{"a.example": true}}
		more, err := c.follow(msg)
		if len(c.seen) > maxChain+1 || len(c.records) > maxRecords {
			t.Fatalf("%d names, %d records", len(c.seen), len(c.records))
		}
		if more && (err != nil || len(c.records) > 0) {
			t.Fatalf("more is to be asked after %d records, %v", len(c.records), err)
		}
		if errors.Is(err, ErrNoName) && msg.Rcode != mdns.RcodeNameError {
			t.Fatalf("no such name, but the code is %d", msg.Rcode)
		}
		if err == nil && !more {
			o := outcome{records: c.records, name: c.name}
			if o.size() < len(c.records) {
				t.Fatal("the size lacks records")
			}
		}
		if ttl := negativeTTL(msg); ttl < 0 {
			t.Fatalf("a negative TTL of %v", ttl)
		}
		referral(msg)
	})
}

// FuzzUnescape reads names and texts in the form of zone files.
func FuzzUnescape(f *testing.F) {
	f.Add(`a\"b\200\\`)
	f.Add(`\`)
	f.Add(`\99`)
	f.Fuzz(func(t *testing.T, s string) {
		if len(unescape(s)) > len(s) {
			t.Fatalf("%q became longer", s)
		}
		target(s)
	})
}
