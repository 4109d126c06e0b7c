package settings

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/pelletier/go-toml/v2"

	"rookery"
)

//go:embed node.go
var nodeSource string

// Node holds the facts of one node. Everything that is the same on all
// nodes is in Cluster instead.
type Node struct {
	// Name of this node in tables and logs; default: the host name.
	Name string `toml:"name"`
	// DataDir holds the node's log, state, keys and caches. Required.
	DataDir string `toml:"data_dir"`
	// Hostname that the servers greet with and write into Received fields;
	// it should be the name in the certificate. Default: the host name.
	Hostname string `toml:"hostname"`
	// TrustedProxies are networks whose PROXY protocol v1 or v2 headers are
	// believed; from all other addresses such a header is refused.
	TrustedProxies []string `toml:"trusted_proxies"`
	// TLS names the certificate of the mail listeners.
	TLS TLSFiles `toml:"tls"`
	// Cluster is how other nodes reach this one.
	Cluster Peering `toml:"cluster"`
	// Listen holds the addresses of each listener; an empty list turns one off.
	Listen Listen `toml:"listen"`
	// Admin is the path of the administration socket; default:
	// admin.sock in DataDir. Only its owner may open it.
	Admin string `toml:"admin"`
	// Tuning of the storage on this machine.
	Disk Disk `toml:"disk"`
	// Keys is how the node keeps the tenant keyring, which opens all mail.
	Keys Keys `toml:"keys"`
}

// Keys is how the node keeps the tenant keyring.
type Keys struct {
	// Command seals the keyring's file, so that who steals the disk reads
	// nothing: a program with arguments, run with one more of "wrap" or
	// "unwrap", that reads a key of 32 bytes (or what wrapping it gave) from
	// its standard input and writes the other to its standard output within
	// 30 s, such as by a KMS or an HSM. Empty: the file is protected by its
	// mode alone.
	Command []string `toml:"command"`
}

// TLSFiles name PEM files. They are read again when they change.
type TLSFiles struct {
	// Certificate is the path of the PEM certificate chain, leaf first. Required.
	Certificate string `toml:"certificate"`
	// Key is the path of the PEM private key. Required.
	Key string `toml:"key"`
}

// Peering is how other nodes reach this one: one port, mutual TLS always.
type Peering struct {
	// Listen is the host:port for all traffic between nodes.
	Listen string `toml:"listen"`
	// Advertise is the host:port that other nodes connect to; default: the
	// hostname with the port of listen.
	Advertise string `toml:"advertise"`
	// Zone names where the node stands (rack, room, site), so that replicas
	// are spread; may be empty.
	Zone string `toml:"zone"`
}

// Listen holds a list of host:port addresses for each listener.
type Listen struct {
	// SMTP receives mail from other servers (STARTTLS offered).
	SMTP []string `toml:"smtp"`
	// Submission receives mail from users, STARTTLS required (RFC 6409).
	Submission []string `toml:"submission"`
	// Submissions receives mail from users over TLS from the first byte (RFC 8314).
	Submissions []string `toml:"submissions"`
	// Relay receives mail from applications and devices that may relay (STARTTLS
	// offered). Off unless set, such as to :2525.
	Relay []string `toml:"relay"`
	// IMAP serves mailboxes; sign-in needs STARTTLS.
	IMAP []string `toml:"imap"`
	// IMAPS serves mailboxes over TLS from the first byte.
	IMAPS []string `toml:"imaps"`
	// POP3 serves inboxes; sign-in needs STLS.
	POP3 []string `toml:"pop3"`
	// POP3S serves inboxes over TLS from the first byte.
	POP3S []string `toml:"pop3s"`
	// Health answers load balancers over plain HTTP: /ready, /ready/smtp,
	// /ready/imap, /ready/pop3 and /live. Off unless set, such as to :7718.
	Health []string `toml:"health"`
	// Metrics answers monitoring over plain HTTP: /metrics in the text format
	// of Prometheus. Off unless set, such as to 127.0.0.1:7719.
	Metrics []string `toml:"metrics"`
}

// Disk bounds what the node keeps on its disk.
type Disk struct {
	// LogBudget is how many bytes of log are kept as a read cache once their
	// bodies are in the object store.
	LogBudget int64 `toml:"log_budget"`
	// SoftFree is the free space in bytes below which new mail gets 452.
	SoftFree int64 `toml:"soft_free"`
	// HardFree is the free space in bytes below which the node stops writing.
	HardFree int64 `toml:"hard_free"`
	// Cache is the size in bytes of the cache of message bodies.
	Cache int64 `toml:"cache"`
}

// DefaultNode is a node on the standard ports of every address.
func DefaultNode() Node {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return Node{
		Name: host, Hostname: host,
		Cluster: Peering{Listen: ":7717"},
		Listen: Listen{
			SMTP: []string{":25"}, Submission: []string{":587"}, Submissions: []string{":465"},
			IMAP: []string{":143"}, IMAPS: []string{":993"}, POP3: []string{":110"}, POP3S: []string{":995"},
		},
		Disk: Disk{LogBudget: 16 << 30, SoftFree: 4 << 30, HardFree: 1 << 30, Cache: 8 << 30},
	}
}

// ParseNode reads a node's file over the defaults. Unknown keys and values with
// which no node works are KindInvalid.
func ParseNode(doc []byte) (Node, error) {
	c := DefaultNode()
	err := decodeStrict(doc, &c)
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		return c, rookery.E("read node file", rookery.KindInvalid, err)
	}
	return c, nil
}

// Validate names each bad key and the mend.
func (c *Node) Validate() error {
	var errs []error
	bad := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...)))
	}
	if c.Name == "" {
		bad("name", "is empty; set the name this node has in tables")
	}
	if c.DataDir == "" {
		bad("data_dir", "is empty; set the directory that holds the node's data, such as /var/lib/rookery")
	}
	if c.TLS.Certificate == "" || c.TLS.Key == "" {
		bad("tls.certificate, tls.key", "are needed; set both to PEM files (to try the server out without any, use: rookery dev)")
	}
	if _, _, err := net.SplitHostPort(c.Cluster.Listen); err != nil {
		bad("cluster.listen", "%q is not host:port; write it like :7717", c.Cluster.Listen)
	}
	if a := c.Cluster.Advertise; a != "" {
		if host, _, err := net.SplitHostPort(a); err != nil || host == "" {
			bad("cluster.advertise", "%q is not host:port; write it like mail1.example.com:7717", a)
		}
	}
	for _, p := range c.TrustedProxies {
		if _, err := netip.ParsePrefix(p); err != nil {
			bad("trusted_proxies", "%q is not a network; write it like 192.0.2.0/24", p)
		}
	}
	for _, l := range append(c.Listen.Mail(), Listener{"health", c.Listen.Health}, Listener{"metrics", c.Listen.Metrics}) {
		for _, a := range l.Addrs {
			if _, _, err := net.SplitHostPort(a); err != nil {
				bad("listen."+l.Name, "%q is not host:port; write it like 0.0.0.0:25 or [::]:25", a)
			}
		}
	}
	if len(c.Keys.Command) > 0 && !filepath.IsAbs(c.Keys.Command[0]) {
		bad("keys.command", "%q is not an absolute path; write it like [\"/usr/local/bin/rookery-kms\"]", c.Keys.Command[0])
	}
	if c.Disk.HardFree < 0 || c.Disk.SoftFree < c.Disk.HardFree {
		bad("disk.soft_free", "must be at least disk.hard_free, and both at least 0")
	}
	if c.Disk.LogBudget < 1<<28 {
		bad("disk.log_budget", "must be at least 268435456 (256 MiB)")
	}
	return errors.Join(errs...)
}

// AdvertisedOn is where other nodes find this one, given where it listens.
func (c *Node) AdvertisedOn(listening net.Addr) string {
	if c.Cluster.Advertise != "" {
		return c.Cluster.Advertise
	}
	_, port, err := net.SplitHostPort(listening.String())
	if err != nil {
		return listening.String()
	}
	return net.JoinHostPort(c.Hostname, port)
}

// AdminSocket is the path of the administration socket.
func (c *Node) AdminSocket() string {
	if c.Admin != "" {
		return c.Admin
	}
	return filepath.Join(c.DataDir, "admin.sock")
}

// Listener is one kind of listener with its host:port addresses.
type Listener struct {
	Name  string
	Addrs []string
}

// Mail are the listeners of the mail protocols, by name.
func (l *Listen) Mail() []Listener {
	return []Listener{
		{"smtp", l.SMTP}, {"submission", l.Submission}, {"submissions", l.Submissions}, {"relay", l.Relay},
		{"imap", l.IMAP}, {"imaps", l.IMAPS}, {"pop3", l.POP3}, {"pop3s", l.POP3S},
	}
}

// NodeSample is an annotated node file made from the struct's comments.
func NodeSample() string {
	c := DefaultNode()
	c.Name, c.Hostname = "mail1", "mail1.example.com"
	c.DataDir = "/var/lib/rookery"
	c.TLS = TLSFiles{Certificate: "/etc/rookery/tls/fullchain.pem", Key: "/etc/rookery/tls/key.pem"}
	return sample(fieldDocs(nodeSource), "Node", &c)
}

func decodeStrict(b []byte, v any) error {
	dec := toml.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	var missing *toml.StrictMissingError
	if errors.As(err, &missing) {
		var keys []string
		for _, e := range missing.Errors {
			row, _ := e.Position()
			keys = append(keys, fmt.Sprintf("line %d: %s", row, joinKey(e.Key())))
		}
		slices.Sort(keys)
		return fmt.Errorf("unknown keys (see: rookery config sample): %v", slices.Compact(keys))
	}
	var de *toml.DecodeError
	if errors.As(err, &de) {
		row, col := de.Position()
		return fmt.Errorf("line %d, column %d, key %q: %s", row, col, joinKey(de.Key()), sayDecode(v, de.Key(), err))
	}
	return err
}
