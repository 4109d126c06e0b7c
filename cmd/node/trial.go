package node

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

// ReachDirectory tries the addresses and TLS of a directory of the settings.
func ReachDirectory(ctx context.Context, s *settings.Cluster, name string) (Greeting, error) {
	return ldap.Reach(ctx, ldapConfig(name, s))
}

// SignInToDirectory tries its service account too.
func SignInToDirectory(ctx context.Context, s *settings.Cluster, name string) (Greeting, error) {
	return ldap.SignIn(ctx, ldapConfig(name, s))
}

// SearchDirectory tries its base and profile too, and says what was found.
func SearchDirectory(ctx context.Context, s *settings.Cluster, name string) (found string, err error) {
	f, err := ldap.Sample(ctx, ldapConfig(name, s))
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
