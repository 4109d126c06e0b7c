package directories

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"

	"rookery/cmd/node/settings"
	"rookery/directory/ldap"
)

// Greeting is what a directory tells of itself.
type Greeting = ldap.Greeting

// Reach tries the addresses and TLS of a directory of the settings.
func Reach(ctx context.Context, s *settings.Cluster, name string) (Greeting, error) {
	return ldap.Reach(ctx, Config(name, s))
}

// SignIn tries its service account too.
func SignIn(ctx context.Context, s *settings.Cluster, name string) (Greeting, error) {
	return ldap.SignIn(ctx, Config(name, s))
}

// Search tries its base and profile too, and says what was found.
func Search(ctx context.Context, s *settings.Cluster, name string) (found string, err error) {
	f, err := ldap.Sample(ctx, Config(name, s))
	if err != nil {
		return "", err
	}
	count := fmt.Sprint(f.Accounts)
	if f.More {
		count = "at least " + count
	}
	return fmt.Sprintf("%s accounts with an address, such as %s (profile %s)", count, f.Address, f.Profile), nil
}

// Untrusted reports whether an error is a certificate whose authority is not
// known: naming it in ca_file would mend that.
func Untrusted(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError))
}
