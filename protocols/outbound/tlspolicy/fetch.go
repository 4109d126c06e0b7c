package tlspolicy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"

	"rookery/protocols/outbound/destination"
)

// maxTries is how many addresses of a policy server are tried.
const maxTries = 4

// fetch reads the policy from its server (RFC 8461 3.3): over HTTPS, with a
// certificate for the server's name, without redirects, at most 64 KiB.
func (f *Finder) fetch(ctx context.Context, host string) (string, error) {
	transport := &http.Transport{
		DialContext:            f.dial,
		TLSClientConfig:        &tls.Config{RootCAs: f.o.Roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: 16 << 10,
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/.well-known/mta-sts.txt", nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the policy server answered %s", resp.Status)
	}
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || kind != "text/plain" {
		return "", errors.New("the policy is not text/plain")
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxPolicy+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxPolicy {
		return "", fmt.Errorf("the policy is larger than %d octets", maxPolicy)
	}
	return string(b), nil
}

// dial connects to the policy server by our own resolver. A domain's owner
// chooses the address, so it must be a public one.
func (f *Finder) dial(ctx context.Context, network, hostport string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return nil, err
	}
	four, err4 := f.o.Resolver.A(ctx, host)
	six, err6 := f.o.Resolver.AAAA(ctx, host)
	failed := errors.Join(err4, err6)
	tries := 0
	for _, a := range append(four.Records[:len(four.Records):len(four.Records)], six.Records...) {
		if !destination.Usable(a, f.o.Private()) {
			failed = fmt.Errorf("%s is at %v, which is not public", host, a)
			continue
		}
		if tries++; tries > maxTries {
			break
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, netip.AddrPortFrom(a, f.o.Port).String())
		if err == nil {
			return conn, nil
		}
		failed = err
	}
	return nil, failed
}
