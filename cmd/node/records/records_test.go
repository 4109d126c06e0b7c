package records

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/settings"
	"rookery/protocols/outbound/dkim"
	"rookery/protocols/outbound/publish"
	"rookery/storage/command"
	"rookery/storage/system"
)

// world is a cluster of two nodes and what the DNS has.
type world struct {
	reports map[rookery.NodeID]peers.Report
	texts   map[string]string
	hosts   map[string]netip.Addr
	dead    bool
}

func (w *world) Nodes() ([]system.Node, error) {
	return []system.Node{{ID: "a", Name: "node1", Address: "192.0.2.1:7000"}, {ID: "b", Name: "node2", Address: "mx2.internal:7000"},
		{ID: "c", Name: "gone", Address: "192.0.2.9:7000", State: command.NodeRemoved}}, nil
}

func (w *world) SigningKeys() ([]system.SigningKeys, error) {
	return []system.SigningKeys{
		{Domain: "example.com", Keys: []command.SigningKey{
			{Selector: "s1", Kind: 1, State: uint8(dkim.Active), Record: "v=DKIM1; k=rsa; p=AAAA"}}},
		{Domain: "example.org", Keys: []command.SigningKey{{Selector: "other", Kind: 1, Record: "v=DKIM1; k=rsa; p=BBBB"}}},
	}, nil
}

var errNone = rookery.E("ask", rookery.KindNotFound, errors.New("there is none"))

func (w *world) answer(found bool) error {
	switch {
	case w.dead:
		return rookery.E("ask", rookery.KindUnavailable, errors.New("no server answers"))
	case !found:
		return errNone
	}
	return nil
}

func (w *world) MX(context.Context, string) ([]publish.Exchanger, error) {
	return []publish.Exchanger{{Preference: 5, Host: "mx1.example.com"}, {Preference: 5, Host: "mx2.example.com"}}, w.answer(true)
}

func (w *world) Addresses(_ context.Context, host string, six bool) ([]netip.Addr, error) {
	a, ok := w.hosts[host]
	if ok = ok && a.Is6() == six; !ok || w.dead {
		return nil, w.answer(ok)
	}
	return []netip.Addr{a}, nil
}

func (w *world) TXT(_ context.Context, name string) ([]string, error) {
	text, ok := w.texts[name]
	return []string{text}, w.answer(ok)
}

func (w *world) PTR(context.Context, netip.Addr) ([]string, error) { return nil, w.answer(false) }

func newWorld() (*world, *Records) {
	w := &world{
		reports: map[rookery.NodeID]peers.Report{"a": {Hostname: "MX1.example.com"}, "b": {Hostname: "mx2.example.com"}},
		texts:   map[string]string{"s1._domainkey.example.com": "v=DKIM1; p=AA AA"},
		hosts: map[string]netip.Addr{"mx2.internal": netip.MustParseAddr("192.0.2.2"), "mx1.example.com": netip.MustParseAddr("192.0.2.1"),
			"mx2.example.com": netip.MustParseAddr("192.0.2.7")},
	}
	set := settings.Default()
	set.Domains, set.Postmaster = []string{"Example.com"}, "mail@example.com"
	return w, New(Options{Cluster: w, Resolver: w,
		Reports:  func([]rookery.NodeID) map[rookery.NodeID]peers.Report { return w.reports },
		Settings: func(context.Context) (settings.Cluster, uint64, error) { return set, 1, nil }})
}

// verdicts are those of all records, by type and name.
func verdicts(r adminapi.DNSReport) map[string]string {
	all := map[string]string{}
	for _, x := range r.Records {
		all[x.Type+" "+x.Name] = x.Verdict
	}
	return all
}

func TestRecordsAreMadeOfTheClustersFacts(t *testing.T) {
	_, r := newWorld()
	got, err := r.Check(t.Context(), "EXAMPLE.com", nil)
	if err != nil || len(got.Problems) > 0 || got.Domain != "example.com" {
		t.Fatalf("%+v %v", got, err)
	}
	all := verdicts(got)
	for what, want := range map[string]string{
		"MX example.com": "present", "A mx1.example.com": "present", "A mx2.example.com": "different",
		"PTR 1.2.0.192.in-addr.arpa": "missing", "TXT example.com": "missing", "TXT s1._domainkey.example.com": "present",
		"TXT _dmarc.example.com": "missing", "TXT other._domainkey.example.com": "", "A gone": "",
	} {
		if all[what] != want {
			t.Errorf("%s: %q, want %q", what, all[what], want)
		}
	}
	for _, x := range got.Records {
		if x.Name == "_dmarc.example.com" && !strings.Contains(x.Zone[0], "mailto:mail@example.com") {
			t.Errorf("%v", x.Zone)
		}
		if x.Why == "" || len(x.Zone) == 0 {
			t.Errorf("%+v", x)
		}
	}
	got, err = r.Check(t.Context(), "example.com", map[string][]netip.Addr{"mx2.example.com": {netip.MustParseAddr("192.0.2.7")}})
	if err != nil || verdicts(got)["A mx2.example.com"] != "present" {
		t.Errorf("with an address that was given: %+v %v", got, err)
	}
}

func TestWhatIsNotKnownIsSaid(t *testing.T) {
	w, r := newWorld()
	for _, domain := range []string{"example.org", "", "not a domain"} {
		if _, err := r.Check(t.Context(), domain, nil); !rookery.Is(err, rookery.KindNotFound) {
			t.Errorf("%q: %v", domain, err)
		}
	}
	w.dead = true
	got, err := r.Check(t.Context(), "example.com", nil)
	if err != nil || len(got.Problems) != 1 || !strings.Contains(got.Problems[0], "-address mx2.example.com=") {
		t.Errorf("without the DNS: %v %v", got.Problems, err)
	}
	for what, verdict := range verdicts(got) {
		if verdict != "cannot say" {
			t.Errorf("%s is %s where no server answers", what, verdict)
		}
	}
	delete(w.reports, "a")
	if _, err := r.Check(t.Context(), "example.com", nil); !rookery.Is(err, rookery.KindUnavailable) {
		t.Errorf("nothing is known of any node: %v", err)
	}
	w.dead = false
	got, err = r.Check(t.Context(), "example.com", nil)
	if err != nil || !slices.ContainsFunc(got.Problems, func(p string) bool { return strings.Contains(p, "the node node1 does not answer") }) {
		t.Errorf("one node is away: %v %v", got.Problems, err)
	}
}
