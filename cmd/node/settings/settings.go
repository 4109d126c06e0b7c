// Package settings owns what a node and a cluster are told: the node file
// (Node), which holds the facts of one machine, and the cluster's settings
// (Cluster), which are the same on every node. It parses, gives defaults,
// validates, compares and writes annotated samples.
//
// It never reads a file, opens a connection or keeps anything: what only a
// machine can tell is asked of a Checker.
package settings

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"rookery"
	"rookery/storage/command"
)

//go:embed settings.go
var settingsSource string

//go:embed attributes.go
var attributesSource string

//go:embed outbound.go
var outboundSource string

//go:embed backup.go
var backupSource string

// Cluster are the settings of a cluster: the same on every node, kept in the
// system group, versioned, with their secrets sealed under the settings key.
type Cluster struct {
	// Domains are the mail domains this cluster receives for.
	Domains []string `toml:"domains"`
	// Postmaster is the address that receives mail for postmaster@ and abuse@ each
	// domain (RFC 5321 4.5.1) where the directory has no such address. Empty: that
	// mail is told to come again.
	Postmaster string `toml:"postmaster"`
	// CatchAll are addresses that get what is for nobody in a domain, like
	// "example.com=info@example.com"; a domain without one refuses it.
	CatchAll []string `toml:"catch_all"`
	// Replication is on how many nodes each mail group lives, 1, 3 or 5; fewer
	// where there are not so many nodes.
	Replication int `toml:"replication" effect:"at once; replicas are built and given up in the background"`
	// ReplaceAfter is for how long a node must be dead before its replicas are
	// built anew on a spare node, like "10m"; 5s to 720h. Without a spare
	// nothing is done and the status says so.
	ReplaceAfter string `toml:"replace_after"`
	// Limits bound what one message, connection or user may take.
	Limits Limits `toml:"limits"`
	// Store is where message bodies live. Keys, endpoint and CA change at once;
	// another bucket or path when a node starts: copy the objects there before.
	Store Store `toml:"store"`
	// Backup says where the archive is kept from which any mailbox can be brought
	// back, and for how long. It lies apart from the store.
	Backup Backup `toml:"backup"`
	// Garbage says how stored bytes that nothing needs any more are cleared away.
	Garbage Garbage `toml:"garbage"`
	// Outbound says how mail goes to other systems.
	Outbound Outbound `toml:"outbound"`
	// Submission bounds what users send to other systems.
	Submission Submission `toml:"submission"`
	// Relay says which applications and devices may send mail without being a user.
	Relay Relay `toml:"relay"`
	// Directories say who exists. Their names are for operators.
	Directories map[string]Directory `toml:"directories"`
}

// Limits bound what one message, connection or user may take.
type Limits struct {
	// MessageSize is the largest message accepted, in bytes or like "50MB".
	MessageSize Size `toml:"message_size"`
	// Recipients is the most recipients of one SMTP transaction, 100 to 1000: the log takes no more in one entry.
	Recipients int `toml:"recipients"`
	// Quota is the size of an account whose entry names none, in bytes or like
	// "10GB"; 0 is unlimited.
	Quota Size `toml:"quota" effect:"with the next message or sign-in of each account"`
	// Connections is the most connections of one listener on one node.
	Connections int `toml:"connections" effect:"at once; connections that are open stay"`
	// ConnectionsPerAddress is the most connections of one client on one
	// listener: an IPv4 address, or an IPv6 network of 64 bits.
	ConnectionsPerAddress int `toml:"connections_per_address" effect:"at once; connections that are open stay"`
	// SessionsPerUser is the most IMAP sessions of one user from one address.
	SessionsPerUser int `toml:"sessions_per_user" effect:"at once; sessions that are open stay"`
	// ExpungedDays is how many days expunged messages can be recovered, like 14,
	// "14d" or "336h".
	ExpungedDays Days `toml:"expunged_days" effect:"within 10 minutes"`
	// VanishedDays is how many days mail is still taken for people whose directory
	// entry has vanished, like 30, "30d" or "720h". Nothing of theirs is deleted then.
	VanishedDays Days `toml:"vanished_days"`
	// CheckSender refuses a submission whose sender is not an address of the
	// user who signed in.
	CheckSender bool `toml:"check_sender"`
}

// Store is an object store.
type Store struct {
	// Kind is "dir" (a directory, for one machine or a shared file system) or "s3".
	Kind string `toml:"kind" effect:"when a node starts"`
	// Path of the directory for kind "dir"; empty means objects in data_dir, a
	// relative one begins at data_dir.
	Path string `toml:"path" effect:"when a node starts"`
	// Endpoint is the URL of the S3 service, https://host[:port].
	Endpoint string `toml:"endpoint"`
	// Bucket must exist.
	Bucket string `toml:"bucket" effect:"when a node starts"`
	// Region as the service calls it; may be empty.
	Region string `toml:"region"`
	// AccessKey names the identity at the service.
	AccessKey string `toml:"access_key"`
	// SecretKey is sealed when set and never shown again.
	SecretKey string `toml:"secret_key" secret:"true"`
	// CAFile is a PEM file on every node for an endpoint with a private CA.
	CAFile string `toml:"ca_file" file:"true"`
}

// Garbage says how stored bytes that nothing needs any more are cleared away.
type Garbage struct {
	// RepackBelow is the percentage of live bytes below which a pack is
	// rewritten, 0 to 95; 0 is never.
	RepackBelow int `toml:"repack_below"`
	// RepackAfter is the age from which on a pack is rewritten, like "24h".
	RepackAfter string `toml:"repack_after"`
	// MergeAfter is the age from which on small packs are merged into larger
	// ones, like "1h"; "0s" is never.
	MergeAfter string `toml:"merge_after"`
	// RepackRate bounds what rewriting and merging read and write, in MiB an
	// hour on each node; 0 stops both.
	RepackRate int64 `toml:"repack_mib_per_hour"`
	// SweepEvery is how often one of the nodes looks for objects that no group
	// knows and deletes them, like "168h"; "0s" is never.
	SweepEvery string `toml:"sweep_every"`
}

// Directory is one LDAP directory.
type Directory struct {
	// ID is made when the directory comes into the settings and begins the
	// keys of its accounts, which so outlive its name. It is never typed: a
	// directory that is written without one keeps the id that it has under
	// its name.
	ID string `toml:"id,omitempty" made:"true"`
	// URLs of its servers in order of preference: ldaps://host, or ldap://host
	// with start_tls. Plain ldap:// is refused except on loopback.
	URLs []string `toml:"urls"`
	// StartTLS upgrades ldap:// connections before anything is sent.
	StartTLS bool `toml:"start_tls"`
	// CAFile is a PEM file on every node with the CA of the servers; empty
	// means the system's.
	CAFile string `toml:"ca_file" file:"true"`
	// Fingerprint pins a server certificate by the SHA-256 of its DER form in
	// hexadecimal, for servers whose certificate names no host.
	Fingerprint string `toml:"fingerprint"`
	// BindDN is the account the server searches with.
	BindDN string `toml:"bind_dn"`
	// Password of bind_dn; sealed when set and never shown again.
	Password string `toml:"password" secret:"true"`
	// Base is the DN below which entries are searched.
	Base string `toml:"base"`
	// Profile is "auto", "openldap", "ad" or "389".
	Profile string `toml:"profile"`
	// UserFilter narrows whose entries are accounts; empty means the profile's.
	UserFilter string `toml:"user_filter"`
	// Domains served from this directory; empty means all domains.
	Domains []string `toml:"domains"`
	// Prefixes are the NetBIOS names of DOMAIN\user logins.
	Prefixes []string `toml:"prefixes"`
	// Realms are login domains besides the mail domains (UPN suffixes).
	Realms []string `toml:"realms"`
	// Timeout bounds each operation, like "5s".
	Timeout string `toml:"timeout"`
	// Copy is how often the directory is asked what has changed, like "30s", for the
	// cluster's copy of it, from which mail is accepted while the directory is away;
	// "0s" is no copy.
	Copy string `toml:"copy"`
	// Attributes say where the directory keeps what, where it is elsewhere than
	// the profile says. Empty ones are the profile's.
	Attributes Attributes `toml:"attributes,omitempty"`
}

// Default serves no domain yet.
func Default() Cluster {
	return Cluster{
		Domains: []string{}, Replication: 3, ReplaceAfter: "10m",
		Limits: Limits{
			MessageSize: 50 << 20, Recipients: 1000, Connections: 20000, ConnectionsPerAddress: 1000,
			SessionsPerUser: 50, ExpungedDays: 14, VanishedDays: 30, CheckSender: true,
		},
		Store:       Store{Kind: "dir"},
		Backup:      DefaultBackup(),
		Garbage:     DefaultGarbage(),
		Outbound:    DefaultOutbound(),
		Submission:  DefaultSubmission(),
		Relay:       DefaultRelay(),
		Directories: map[string]Directory{},
	}
}

// DefaultDirectory is what keys left out of a directory mean.
func DefaultDirectory() Directory { return Directory{Profile: "auto", Timeout: "5s", Copy: "30s"} }

// Parse reads a document over the defaults. Unknown keys are errors.
func Parse(doc []byte) (Cluster, error) {
	s := Default()
	err := s.Overlay(doc)
	return s, err
}

// Overlay changes what a document names and leaves the rest as it is.
func (s *Cluster) Overlay(doc []byte) error {
	if err := decodeStrict(doc, s); err != nil {
		return rookery.E("read settings", rookery.KindInvalid, err)
	}
	for name, d := range s.Directories {
		def := DefaultDirectory()
		if d.Profile == "" {
			d.Profile = def.Profile
		}
		if d.Timeout == "" {
			d.Timeout = def.Timeout
		}
		if d.Copy == "" {
			d.Copy = def.Copy
		}
		s.Directories[name] = d
	}
	return nil
}

// Document is the canonical text of the settings.
func (s *Cluster) Document() ([]byte, error) {
	b, err := toml.Marshal(s)
	if err != nil {
		return nil, rookery.E("write settings", rookery.KindInvalid, err)
	}
	return b, nil
}

var directoryName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// Checker checks of settings what only the machine that uses them can tell.
type Checker interface {
	// Directories tells bad of every key of a directory that cannot be used,
	// with its value and the mend, the files included that it names.
	Directories(s *Cluster, bad func(key, problem string))
	// Store does so for the object store.
	Store(s *Cluster, bad func(key, problem string))
}

// Validate names each key with which a node cannot work, its value, and the
// mend: KindInvalid. It is the one check, of settings that are to be written
// and of those that a node takes into use. A nil Checker leaves out what only
// a node's machine can tell.
func (s *Cluster) Validate(on Checker) error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	s.checkValues(bad)
	if on != nil {
		tell := func(key, problem string) { bad(key, "%s", problem) }
		on.Directories(s, tell)
		on.Store(s, tell)
	}
	if err := errors.Join(errs...); err != nil {
		return rookery.E("check settings", rookery.KindInvalid, err)
	}
	return nil
}

func (s *Cluster) checkValues(bad report) {
	if len(s.Domains) == 0 {
		bad("domains", "[] names no domain, so no address is local; write them like [\"example.com\"]")
	}
	for _, d := range s.Domains {
		if n, err := rookery.NormalDomain(d); err != nil || !strings.Contains(n, ".") || n[0] == '[' {
			bad("domains", "%q is not a mail domain; write it like example.com", d)
		}
	}
	if s.Postmaster != "" {
		if _, err := rookery.ParseAddress(s.Postmaster); err != nil {
			bad("postmaster", "%v; write it like admin@example.com", err)
		}
	}
	for _, x := range s.CatchAll {
		if domain, _, ok := ParseCatchAll(x); !ok || !s.isLocal(domain) {
			bad("catch_all", "%q is no address for one of the domains; write it like example.com=info@example.com", x)
		}
	}
	if s.Replication != 1 && s.Replication != 3 && s.Replication != 5 {
		bad("replication", "%d is not 1, 3 or 5", s.Replication)
	}
	if d, err := time.ParseDuration(s.ReplaceAfter); err != nil || d < 5*time.Second || d > 720*time.Hour {
		bad("replace_after", "%q is not between 5s and 720h; write it like 10m", s.ReplaceAfter)
	}
	s.Limits.validate(bad)
	s.Store.validate(bad)
	s.Backup.validate(bad, &s.Store)
	s.Garbage.validate(bad)
	s.Outbound.validate(bad)
	s.Submission.validate(bad)
	s.Relay.validate(bad)
	ids := map[string]string{}
	for _, name := range s.DirectoryNames() {
		d := s.Directories[name]
		key := "directories." + name
		if !directoryName.MatchString(name) {
			bad(key, "the name must be 1 to 32 of a-z, 0-9 and -")
		}
		if other := ids[d.ID]; d.ID != "" && other != "" {
			bad(key+".id", "%q is the id of %s too; leave it out of the new one of both", d.ID, other)
		}
		if ids[d.ID] = key; d.ID != "" && !directoryName.MatchString(d.ID) {
			bad(key+".id", "%q is no id that was made for a directory; leave it out", d.ID)
		}
		if t, err := time.ParseDuration(d.Timeout); err != nil || t < 100*time.Millisecond || t > time.Minute {
			bad(key+".timeout", "%q is not between 100ms and 1m; write it like 5s", d.Timeout)
		}
		if t, err := time.ParseDuration(d.Copy); err != nil || t != 0 && (t < time.Second || t > time.Hour) {
			bad(key+".copy", "%q is not between 1s and 1h, nor 0s for no copy; write it like 30s", d.Copy)
		}
	}
}

type report func(key, format string, args ...any)

func (l *Limits) validate(bad report) {
	for _, c := range []struct {
		key           string
		val, min, max int64
	}{
		{"limits.message_size", int64(l.MessageSize), 1 << 16, 1 << 30},
		{"limits.recipients", int64(l.Recipients), 100, command.MaxDeliveries},
		{"limits.quota", int64(l.Quota), 0, 1 << 50},
		{"limits.connections", int64(l.Connections), 1, 1 << 20},
		{"limits.connections_per_address", int64(l.ConnectionsPerAddress), 1, 1 << 20},
		{"limits.sessions_per_user", int64(l.SessionsPerUser), 1, 1 << 16},
		{"limits.expunged_days", int64(l.ExpungedDays), 0, 3650},
		{"limits.vanished_days", int64(l.VanishedDays), 0, 3650},
	} {
		if c.val < c.min || c.val > c.max {
			bad(c.key, "%d is out of range; set it between %d and %d", c.val, c.min, c.max)
		}
	}
}

func (s *Store) validate(bad report) {
	switch s.Kind {
	case "dir":
	case "s3":
		if s.AccessKey == "" || s.SecretKey == "" {
			bad("store.access_key, store.secret_key", "are needed for s3; set the secret from a file: rookery config set store.secret_key @FILE")
		}
	default:
		bad("store.kind", "%q is unknown; use dir or s3", s.Kind)
	}
}

// DeadAfter is ReplaceAfter, which Validate has looked at.
func (s *Cluster) DeadAfter() time.Duration {
	d, err := time.ParseDuration(s.ReplaceAfter)
	if err != nil {
		return 10 * time.Minute
	}
	return d
}

// DirectoryNames are the directories' names, in order.
func (s *Cluster) DirectoryNames() []string {
	names := make([]string, 0, len(s.Directories))
	for n := range s.Directories {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Sample is an annotated settings document made from the structs'
// comments.
func Sample() string {
	s := Default()
	s.Domains = []string{"example.com"}
	s.Postmaster = "admin@example.com"
	d := DefaultDirectory()
	d.URLs = []string{"ldaps://ldap1.example.com", "ldaps://ldap2.example.com"}
	d.BindDN, d.Base = "cn=mail,ou=services,dc=example,dc=com", "dc=example,dc=com"
	d.Domains, d.Prefixes, d.Realms = []string{}, []string{}, []string{}
	s.Directories["main"] = d
	return sample(settingsDocs(), "Cluster", &s)
}
