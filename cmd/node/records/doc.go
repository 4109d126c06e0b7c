// Package records says what a mail domain of the cluster has to publish in the DNS,
// and how that compares with what is published.
//
// It owns where the facts come from: nodes from the registry, the names that they
// announce from their reports, DKIM keys from the system group, the address for
// reports from the settings. The list and the comparison are those of
// protocols/outbound/publish. It changes nothing, in the cluster or in the DNS.
package records
