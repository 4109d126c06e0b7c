package adminapi

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"rookery"
)

// DNSReport is what a mail domain has to publish, and what is there.
type DNSReport struct {
	Domain  string      `json:"domain"`
	Records []DNSRecord `json:"records"`
	// Problems say what is not known, so that records may be missing in the list.
	Problems []string `json:"problems"`
}

// DNSRecord is one record to publish.
type DNSRecord struct {
	Name   string   `json:"name"`
	Type   string   `json:"type"`
	Values []string `json:"values"`
	// Zone are its lines for a zone file.
	Zone []string `json:"zone"`
	// Why says what goes wrong without it.
	Why string `json:"why"`
	// Verdict is present, missing, different or cannot say; Note says why.
	Verdict   string   `json:"verdict"`
	Published []string `json:"published"`
	Note      string   `json:"note,omitempty"`
}

// DNS lists the records of a domain. addresses are those of nodes by their
// hostnames, where others see them at other ones than the nodes do.
func (c *Client) DNS(ctx context.Context, domain string, addresses map[string][]netip.Addr) (r DNSReport, err error) {
	q := url.Values{}
	for host, list := range addresses {
		for _, a := range list {
			q.Add("address", host+"="+a.String())
		}
	}
	err = c.call(ctx, http.MethodGet, "/v1/dns/"+url.PathEscape(domain)+"?"+q.Encode(), nil, &r)
	return r, err
}

// ParseAddresses reads addresses of hosts, each as "HOST=ADDRESS"; a host may have
// several.
func ParseAddresses(list []string) (map[string][]netip.Addr, error) {
	addresses := map[string][]netip.Addr{}
	for _, s := range list {
		host, text, _ := strings.Cut(s, "=")
		name, err := rookery.NormalDomain(host)
		if err != nil {
			return nil, rookery.E("read address", rookery.KindInvalid, fmt.Errorf("%.255q: %w; write it like mx1.example.com=203.0.113.1", s, err))
		}
		a, err := netip.ParseAddr(text)
		if err != nil {
			return nil, rookery.E("read address", rookery.KindInvalid, fmt.Errorf("%.255q: %w; write it like mx1.example.com=203.0.113.1", s, err))
		}
		addresses[name] = append(addresses[name], a)
	}
	return addresses, nil
}
