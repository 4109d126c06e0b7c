package settings

import (
	_ "embed"

	"rookery/protocols/relay"
)

//go:embed relay.go
var relaySource string

// Relay says which applications and devices may send mail without being a user,
// on listeners of the kind relay.
type Relay struct {
	// Networks may relay without signing in, like "192.0.2.0/24". Ones that strangers
	// are in are refused: those of less than 8 bits, or 32 in IPv6.
	Networks []string `toml:"networks" effect:"with the next message"`
	// Certificates are clients that may relay, each by the SHA-256 of its certificate in
	// hexadecimal: openssl x509 -in FILE -noout -fingerprint -sha256.
	Certificates []string `toml:"certificates" effect:"with the next message"`
	// Senders are what networks and certificates may name as senders besides addresses
	// of the domains above, like "app@example.org", "@example.net" or "<>" (the null sender).
	Senders []string `toml:"senders" effect:"with the next message"`
	// OldTLS lets devices that know no better use TLS 1.0 and 1.1, on these listeners alone.
	OldTLS bool `toml:"old_tls" effect:"with the next connection"`
}

// DefaultRelay lets nobody relay.
func DefaultRelay() Relay {
	return Relay{Networks: []string{}, Certificates: []string{}, Senders: []string{}}
}

func (r *Relay) validate(bad report) {
	for _, n := range r.Networks {
		if _, err := relay.ParseNetwork(n); err != nil {
			bad("relay.networks", "%q: %v", n, err)
		}
	}
	for _, c := range r.Certificates {
		if _, err := relay.ParseFingerprint(c); err != nil {
			bad("relay.certificates", "%q: %v", c, err)
		}
	}
	for _, s := range r.Senders {
		if _, err := relay.ParseSender(s); err != nil {
			bad("relay.senders", "%q: %v", s, err)
		}
	}
}

// Rules are what a gate goes by. What Validate has refused lets nobody in.
func (r *Relay) Rules() relay.Rules {
	var rules relay.Rules
	for _, n := range r.Networks {
		if p, err := relay.ParseNetwork(n); err == nil {
			rules.Networks = append(rules.Networks, p)
		}
	}
	for _, c := range r.Certificates {
		if f, err := relay.ParseFingerprint(c); err == nil {
			rules.Certificates = append(rules.Certificates, f)
		}
	}
	for _, s := range r.Senders {
		if sender, err := relay.ParseSender(s); err == nil {
			rules.Senders = append(rules.Senders, sender)
		}
	}
	return rules
}
