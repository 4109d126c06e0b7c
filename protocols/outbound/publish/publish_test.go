package publish

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"rookery"
	"rookery/protocols/outbound/dkim"
)

func facts() Facts {
	return Facts{
		Domain: "example.com",
		Nodes: []Node{
			{"mail1.example.com", []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}},
			{"mail2.example.com", []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.2")}},
		},
		Keys: []Key{
			{"rsa-20261130", dkim.Active, "v=DKIM1; k=rsa; h=sha256; p=" + strings.Repeat("A", 392)},
			{"ed25519-20261130", dkim.Prepared, "v=DKIM1; k=ed25519; h=sha256; p=BBBB"},
		},
		Reports: rookery.Address{Local: "postmaster", Domain: "example.com"},
		STS:     "20261130T120000",
	}
}

func list(t *testing.T, f Facts) []Record {
	t.Helper()
	records, err := Records(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.Why == "" || len(r.Values) == 0 {
			t.Errorf("%+v", r)
		}
	}
	return records
}

func TestRecords(t *testing.T) {
	const reversed = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
	want := []string{
		"example.com. IN MX 10 mail1.example.com.", "example.com. IN MX 10 mail2.example.com.",
		"mail1.example.com. IN A 192.0.2.1", "mail1.example.com. IN AAAA 2001:db8::1", "mail2.example.com. IN A 192.0.2.2",
		"1.2.0.192.in-addr.arpa. IN PTR mail1.example.com.", reversed + ". IN PTR mail1.example.com.",
		"2.2.0.192.in-addr.arpa. IN PTR mail2.example.com.",
		`example.com. IN TXT "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 ip4:192.0.2.2 ~all"`,
		`mail1.example.com. IN TXT "v=spf1 a -all"`, `mail2.example.com. IN TXT "v=spf1 a -all"`,
		`rsa-20261130._domainkey.example.com. IN TXT "v=DKIM1; k=rsa; h=sha256; p=` + strings.Repeat("A", 227) + `" "` + strings.Repeat("A", 165) + `"`,
		`ed25519-20261130._domainkey.example.com. IN TXT "v=DKIM1; k=ed25519; h=sha256; p=BBBB"`,
		`_dmarc.example.com. IN TXT "v=DMARC1; p=none; rua=mailto:postmaster@example.com"`,
		`_mta-sts.example.com. IN TXT "v=STSv1; id=20261130T120000"`,
		"mta-sts.example.com. IN A 192.0.2.1", "mta-sts.example.com. IN A 192.0.2.2", "mta-sts.example.com. IN AAAA 2001:db8::1",
		`_smtp._tls.example.com. IN TXT "v=TLSRPTv1; rua=mailto:postmaster@example.com"`,
	}
	var got []string
	for _, r := range list(t, facts()) {
		got = append(got, r.Zone()...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	f := facts()
	f.STS, f.Includes, f.Nodes = "", []string{"relay.example.net"}, []Node{{"example.com", f.Nodes[0].Addresses}}
	zone := ""
	for _, r := range list(t, f) {
		zone += strings.Join(r.Zone(), "\n") + "\n"
	}
	if strings.Contains(zone, "mta-sts") || !strings.Contains(zone, "include:relay.example.net ~all") || strings.Count(zone, "v=spf1") != 1 {
		t.Error(zone)
	}
}

func TestFactsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*Facts){
		"no node":    func(f *Facts) { f.Nodes = nil },
		"no address": func(f *Facts) { f.Nodes[0].Addresses = nil },
		"bad one":    func(f *Facts) { f.Nodes[0].Addresses[0] = netip.Addr{} },
		"no domain":  func(f *Facts) { f.Domain = "" },
		"a literal":  func(f *Facts) { f.Domain = "[192.0.2.1]" },
		"two words":  func(f *Facts) { f.Domain = "example.com IN TXT" },
		"upper case": func(f *Facts) { f.Nodes[0].Name = "Mail1.example.com" },
		"an include": func(f *Facts) { f.Includes = []string{"a ~all"} },
		"no reports": func(f *Facts) { f.Reports = rookery.Address{} },
	} {
		f := facts()
		change(&f)
		if got, err := Records(f); !rookery.Is(err, rookery.KindInvalid) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// zone is a Resolver: values by "TYPE name", and errors.
type zone struct {
	values map[string][]string
	errs   map[string]error
}

func (z *zone) get(typ Type, name string) ([]string, error) {
	at := string(typ) + " " + name
	if err := z.errs[at]; err != nil {
		return nil, err
	}
	if v := z.values[at]; v != nil {
		return v, nil
	}
	return nil, rookery.E("look up "+at, rookery.KindNotFound, errors.New("no such name"))
}

func (z *zone) MX(_ context.Context, domain string) (list []Exchanger, err error) {
	values, err := z.get(MX, domain)
	for _, v := range values {
		var x Exchanger
		if _, err := fmt.Sscanf(v, "%d %s", &x.Preference, &x.Host); err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	return list, err
}

func (z *zone) Addresses(_ context.Context, host string, six bool) (list []netip.Addr, err error) {
	typ := A
	if six {
		typ = AAAA
	}
	values, err := z.get(typ, host)
	for _, v := range values {
		list = append(list, netip.MustParseAddr(v))
	}
	return list, err
}

func (z *zone) TXT(_ context.Context, name string) ([]string, error) { return z.get(TXT, name) }

func (z *zone) PTR(_ context.Context, a netip.Addr) ([]string, error) { return z.get(PTR, reverse(a)) }

// published is a zone with all that is listed.
func published(records []Record) *zone {
	z := &zone{map[string][]string{}, map[string]error{}}
	for _, r := range records {
		at := string(r.Type) + " " + r.Name
		z.values[at] = append(z.values[at], r.Values...)
	}
	return z
}

func TestAllPresent(t *testing.T) {
	records := list(t, facts())
	for _, r := range Compare(t.Context(), records, published(records)) {
		if r.Verdict != Present || r.Note != "" || len(r.Published) == 0 {
			t.Errorf("%s %s: %s, %q, %q", r.Record.Type, r.Record.Name, r.Verdict, r.Note, r.Published)
		}
	}
	for _, r := range Compare(t.Context(), records, &zone{}) {
		if r.Verdict != Missing {
			t.Errorf("%s %s in an empty zone: %s", r.Record.Type, r.Record.Name, r.Verdict)
		}
	}
}

func TestCompare(t *testing.T) {
	const (
		spf, dkimAt, dmarc = "TXT example.com", "TXT rsa-20261130._domainkey.example.com", "TXT _dmarc.example.com"
		key                = "v=DKIM1; p="
	)
	aaaa := strings.Repeat("A", 392)
	for _, c := range []struct {
		at        string
		published []string // nil: an error
		err       error
		want      Verdict
		note      string
	}{
		{"MX example.com", []string{"5 mail2.example.com", "10 mail1.example.com"}, nil, Present, ""},
		{"MX example.com", []string{"10 mail1.example.com"}, nil, Different, "missing: mail2.example.com"},
		{"MX example.com", []string{"10 mail1.example.com", "10 mail2.example.com", "99 old.example.com"}, nil, Different,
			"none of ours: old.example.com"},
		{"MX example.com", nil, rookery.E("dns", rookery.KindDenied, ErrNullMX), Different, "null MX"},
		{"MX example.com", nil, rookery.E("dns", rookery.KindUnavailable, errors.New("SERVFAIL")), CannotSay, "SERVFAIL"},
		{"MX example.com", nil, context.DeadlineExceeded, CannotSay, "deadline"},
		{"A mail1.example.com", []string{"192.0.2.9"}, nil, Different, "missing: 192.0.2.1; none of ours: 192.0.2.9"},
		{"PTR 1.2.0.192.in-addr.arpa", []string{"Mail1.example.com", "x.example.com"}, nil, Present, ""},
		{"PTR 1.2.0.192.in-addr.arpa", []string{"dyn-1.provider.example"}, nil, Different, "another name"},
		{spf, []string{"other=text", "V=SPF1 mx -ALL"}, nil, Present, ""},
		{spf, []string{"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"}, nil, Present, ""},
		{spf, []string{"v=spf1 +ip4:192.0.2.0/30 ip6:2001:db8::1 include:x.example ?all"}, nil, Present, ""},
		{spf, []string{"v=spf1 ip4:192.0.2.1 -all"}, nil, Different, "not cover 2001:db8::1, 192.0.2.2"},
		{spf, []string{"v=spf1 -ip4:192.0.2.2 mx -all"}, nil, Different, "not cover 192.0.2.2"},
		{spf, []string{"v=spf1 include:_spf.provider.example -all"}, nil, CannotSay, "include:_spf.provider.example"},
		{spf, []string{"v=spf1 redirect=x.example"}, nil, CannotSay, "redirect=x.example"},
		{spf, []string{"v=spf1 mx -all", "v=spf1 a -all"}, nil, Different, "several SPF"},
		{spf, []string{"v=spf10 mx"}, nil, Missing, ""},
		{"TXT mail1.example.com", []string{"v=spf1 -all"}, nil, Different, "not cover 192.0.2.1, 2001:db8::1"},
		{"TXT mail1.example.com", []string{"v=spf1 ip4:192.0.2.1 -all"}, nil, Different, "not cover 2001:db8::1"},
		{"TXT mail1.example.com", []string{"v=spf1 ip6:2001:db8::/64 ip4:192.0.2.1 -all"}, nil, Present, ""},
		{"TXT mail1.example.com", []string{"v=spf1 mx -all"}, nil, CannotSay, "mx"},
		{dkimAt, []string{key + aaaa[:200] + " " + aaaa[200:]}, nil, Present, ""},
		{dkimAt, []string{"k=rsa; p=" + aaaa}, nil, Present, ""},
		{dkimAt, []string{key + "CCCC"}, nil, Different, "another key"},
		{dkimAt, []string{key}, nil, Different, "revoked"},
		{dkimAt, []string{"v=DKIM1; k=ed25519; p=" + aaaa}, nil, Different, "k= is"},
		{dkimAt, []string{key + aaaa, key + "CCCC"}, nil, Different, "several"},
		{dkimAt, []string{"v=spf1 -all"}, nil, Different, "none of the texts"},
		{dmarc, []string{"v=DMARC1; p=reject; rua=mailto:x@y.example"}, nil, Present, ""},
		{dmarc, []string{"v=DMARC1; rua=mailto:x@y.example"}, nil, Different, "no policy"},
		{"TXT _mta-sts.example.com", []string{"v=STSv1; id=1;"}, nil, Different, "20261130T120000"},
		{"TXT _smtp._tls.example.com", []string{"v=TLSRPTv1; rua=https://x.example/"}, nil, Present, ""},
		{"TXT _smtp._tls.example.com", []string{"v=TLSRPTv1"}, nil, Different, "rua="},
		{dmarc, []string{"\x00\x1b[2J" + strings.Repeat("x", 1<<16)}, nil, Different, "none of the texts"},
	} {
		records := list(t, facts())
		z := published(records)
		z.values[c.at], z.errs[c.at] = c.published, c.err
		found := false
		for _, r := range Compare(t.Context(), records, z) {
			if string(r.Record.Type)+" "+r.Record.Name != c.at {
				if r.Verdict != Present {
					t.Errorf("%s changes %s: %s", c.at, r.Record.Name, r.Verdict)
				}
				continue
			}
			found = true
			if r.Verdict != c.want || !strings.Contains(r.Note, c.note) {
				t.Errorf("%s %.80q: %s, %q, want %s, %q", c.at, c.published, r.Verdict, r.Note, c.want, c.note)
			}
			for _, v := range r.Published {
				if len(v) > maxValue || strings.ContainsAny(v, "\x00\x1b") {
					t.Errorf("shown: %.80q", v)
				}
			}
		}
		if !found {
			t.Errorf("%s is not looked for", c.at)
		}
	}
}

func FuzzJudge(f *testing.F) {
	f.Add("v=spf1 ip4:192.0.2.0/24 -all")
	f.Add("v=DKIM1; k=rsa; p=")
	f.Add("v=DMARC1; p=none; rua")
	records, err := Records(facts())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range records {
			if v, note := r.judge([]string{text, text[:len(text)/2]}); v == Present && note != "" {
				t.Errorf("%q: %s, %q", text, v, note)
			}
		}
		shown([]string{text})
	})
}

// Hosts of others that send for us are covered by their own record alone.
func TestInclude(t *testing.T) {
	f := facts()
	f.Includes = []string{"relay.example.net"}
	records := list(t, f)
	for text, want := range map[string]Verdict{
		"v=spf1 mx include:relay.example.net -all":   Present,
		"v=spf1 mx +include:relay.example.net -all":  Present,
		"v=spf1 mx include:relay.example.net.x ~all": Different,
		"v=spf1 mx -all": Different,
	} {
		z := published(records)
		z.values["TXT example.com"] = []string{text}
		for _, r := range Compare(t.Context(), records, z) {
			if r.Record.purpose == forSPF && r.Verdict != want {
				t.Errorf("%q: %s, %q, want %s", text, r.Verdict, r.Note, want)
			}
		}
	}
}
