// Package signing holds the DKIM keys of the cluster's mail domains and signs
// with them.
//
// It owns which domains have keys, when one is made, takes over, is retired and
// destroyed (by the rules of protocols/outbound/dkim), and the opened keys in this
// node's memory. The keys lie in the system group, sealed under the settings key;
// the node that leads it tends them. The first keys of a domain sign at once,
// published or not: a receiver that finds no record takes the mail for unsigned. A
// later key signs when its record has been seen in the DNS.
//
// It never publishes a record, never changes a message, and asks neither the DNS
// nor a disk while it signs.
package signing
