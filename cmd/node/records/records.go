package records

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
	"rookery/cmd/node/settings"
	"rookery/protocols/outbound/dkim"
	"rookery/protocols/outbound/publish"
	"rookery/storage/system"
)

// checkWait bounds a check, whatever the DNS does.
const checkWait = 15 * time.Second

// Cluster is what the system group has; system.Machine does.
type Cluster interface {
	Nodes() ([]system.Node, error)
	SigningKeys() ([]system.SigningKeys, error)
}

// Options are what Records are made of.
type Options struct {
	Cluster Cluster
	// Reports are the last ones of these nodes.
	Reports  func([]rookery.NodeID) map[rookery.NodeID]peers.Report
	Settings func(ctx context.Context) (settings.Cluster, uint64, error)
	Resolver publish.Resolver
}

// Records knows what domains have to publish.
type Records struct{ o Options }

// New makes Records. It does no I/O.
func New(o Options) *Records { return &Records{o} }

// Check lists the records of a domain and compares each with what is published.
// addresses are those of nodes by the names that they announce, instead of where
// the other nodes find them: behind NAT the world sees others.
//
// KindNotFound: the settings have no such domain.
func (r *Records) Check(ctx context.Context, domain string, addresses map[string][]netip.Addr) (adminapi.DNSReport, error) {
	ctx, cancel := context.WithTimeout(ctx, checkWait)
	defer cancel()
	report := adminapi.DNSReport{Records: []adminapi.DNSRecord{}, Problems: []string{}}
	f, err := r.facts(ctx, domain, addresses, &report)
	if err != nil {
		return report, err
	}
	report.Domain = f.Domain
	if len(f.Nodes) == 0 {
		return report, rookery.E("list the records to publish", rookery.KindUnavailable,
			fmt.Errorf("of no node is it known what it is called and where it is: %v", report.Problems))
	}
	list, err := publish.Records(*f)
	if err != nil {
		return report, err
	}
	for _, x := range publish.Compare(ctx, list, r.o.Resolver) {
		report.Records = append(report.Records, adminapi.DNSRecord{
			Name: x.Record.Name, Type: string(x.Record.Type), Values: x.Record.Values, Zone: x.Record.Zone(), Why: x.Record.Why,
			Verdict: x.Verdict.String(), Published: append([]string{}, x.Published...), Note: x.Note,
		})
	}
	return report, nil
}

// facts are those of a domain; what is not known is a problem of the report.
func (r *Records) facts(ctx context.Context, domain string, addresses map[string][]netip.Addr,
	report *adminapi.DNSReport) (*publish.Facts, error) {
	set, _, err := r.o.Settings(ctx)
	if err != nil {
		return nil, err
	}
	f := &publish.Facts{}
	f.Domain, err = rookery.NormalDomain(domain)
	if err != nil || !slices.ContainsFunc(set.Domains, func(d string) bool { n, _ := rookery.NormalDomain(d); return n == f.Domain }) {
		return nil, rookery.E("list the records to publish", rookery.KindNotFound,
			fmt.Errorf("%.255q is no mail domain of the settings; see: rookery config get domains", domain))
	}
	f.Reports = rookery.Address{Local: "postmaster", Domain: f.Domain}
	if p, err := rookery.ParseAddress(set.Postmaster); err == nil {
		f.Reports = p
	}
	if f.Keys, err = r.keys(f.Domain); err != nil {
		return nil, err
	}
	if len(f.Keys) == 0 {
		report.Problems = append(report.Problems, "the domain has no DKIM keys yet; they are made within a minute, see: rookery status")
	}
	f.Nodes, err = r.nodes(ctx, addresses, report)
	return f, err
}

func (r *Records) keys(domain string) (list []publish.Key, err error) {
	all, err := r.o.Cluster.SigningKeys()
	for _, x := range all {
		for _, k := range x.Keys {
			if x.Domain == domain {
				list = append(list, publish.Key{Selector: k.Selector, State: dkim.State(k.State), Record: k.Record})
			}
		}
	}
	return list, err
}

// nodes are the members with what they announce and where they are.
func (r *Records) nodes(ctx context.Context, addresses map[string][]netip.Addr,
	report *adminapi.DNSReport) (list []publish.Node, err error) {
	all, err := r.o.Cluster.Nodes()
	if err != nil {
		return nil, err
	}
	reports := r.o.Reports(system.MemberIDs(all))
	for _, x := range all {
		if !x.Member() {
			continue
		}
		name, err := rookery.NormalDomain(reports[x.ID].Hostname)
		if err != nil {
			report.Problems = append(report.Problems,
				fmt.Sprintf("the node %s does not answer, or has no usable hostname: its records are not in the list", x.Name))
			continue
		}
		n := publish.Node{Name: name, Addresses: addresses[name]}
		if len(n.Addresses) == 0 {
			n.Addresses = r.addresses(ctx, x)
		}
		if len(n.Addresses) == 0 {
			report.Problems = append(report.Problems,
				fmt.Sprintf("where the node %s is found is not known; give its address: -address %s=203.0.113.1", x.Name, name))
			continue
		}
		list = append(list, n)
	}
	return list, nil
}

// addresses are those that the other nodes find a node at.
func (r *Records) addresses(ctx context.Context, x system.Node) (list []netip.Addr) {
	host, _, err := net.SplitHostPort(x.Address)
	if err != nil {
		return nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}
	}
	for _, six := range []bool{false, true} {
		found, err := r.o.Resolver.Addresses(ctx, host, six)
		if err == nil {
			list = append(list, found...)
		}
	}
	return list
}
