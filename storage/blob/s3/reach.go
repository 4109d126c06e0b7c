package s3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"rookery"
)

// Reach tries the address and TLS of a service before bucket and credentials
// are known: any answer to a request will do. KindInvalid names the setting
// that is wrong; KindUnavailable says why nothing answers.
func Reach(ctx context.Context, endpoint, caFile string) error {
	const op = "reach object store"
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := Open(Config{Endpoint: endpoint, Bucket: "none", Credentials: Credentials{"none", "none", ""}, CAFile: caFile},
		nil); err != nil {
		return err
	}
	trusted, err := trust(caFile)
	if err != nil {
		return err
	}
	cfg := Config{}
	cfg.setDefaults()
	transport := newTransport(&cfg, trusted)
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(endpoint, "/")+"/", nil)
	if err != nil {
		return rookery.E(op, rookery.KindInvalid, err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		if errors.As(err, new(*tls.CertificateVerificationError)) {
			err = fmt.Errorf("%w; name the PEM file of its authority in ca_file", err)
		}
		return rookery.E(op, rookery.KindUnavailable, fmt.Errorf("%s: %w", endpoint, err))
	}
	resp.Body.Close()
	return nil
}
