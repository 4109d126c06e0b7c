// Package dev runs a whole cluster on one machine for trying it out: a process
// for each node, a directory and a CA of its own. It owns the toys and their
// ports; the nodes are those of everybody, started by rookery serve.
package dev

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/settings"
	"rookery/cmd/rookery/cli"
	"rookery/directory/embedded"
	"rookery/internal/durable"
)

const devLong = `Runs a whole mail cluster on this machine for trying it out: three nodes, each a
process of its own, a small LDAP directory with three users, an object store in
a directory and a throwaway CA. It needs no root, no network and no other
program. Everything is kept in the data directory; the next start finds the mail
again, also when the directory was moved. One node may come back under other
ports; several find each other only under those they had. Ports listen on
127.0.0.1.

What it printed stands in DIR/dev.json for scripts, once the nodes serve, with
the process id of each node (0 while it is dead).

-settings FILE changes the settings that the cluster begins with, such as
[store] for an S3 service of your own; later there is rookery config.

From another terminal a node is killed with SIGKILL and started again, by rookery
dev kill and rookery dev start.

Never for production: the directory and the CA are toys.`

// Verb is rookery dev.
func Verb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "dev", Short: "try it out: a whole mail cluster on this machine", Long: devLong, Args: cli.NoSuchVerb,
		Example: "  rookery dev -data ./rookery-data -nodes 3 -port-base 12000", Annotations: cli.Exits("4 it runs already on this directory"),
	}
	data := v.PersistentFlags().String("data", cli.DataDefault("./rookery-data"),
		"data directory, made if it is not there; ROOKERY_DATA names another default")
	asJSON := v.PersistentFlags().Bool("json", false, "print JSON")
	f := v.Flags()
	nodes := f.Int("nodes", 3, "how many nodes, 1 to 7")
	base := f.Int("port-base", 0, "pack all ports of node k from this number plus 100(k-1) upwards (default: 2525, 2587, 2465, "+
		"2143, 2993, 2110, 2995, each further node 10000 higher, and 2389)")
	settings := f.String("settings", "", "file with settings other than dev's own, for the first start")
	level := f.String("log-level", "error", "debug, info, warn or error: what the nodes say; at warn Raft is heard at every start")
	v.RunE = func(c *cobra.Command, _ []string) error {
		d, err := newDev(s, *data, *base, *nodes, *settings, *level)
		if err != nil {
			return err
		}
		return d.run(c.Context(), *asJSON)
	}
	v.AddCommand(devOrderVerb(s, "kill", "kill a node with SIGKILL", data, asJSON),
		devOrderVerb(s, "start", "start a node that is dead", data, asJSON), directoryVerb(s, data, asJSON))
	return v
}

func newDev(s *cli.Shell, data string, base, nodes int, settings, level string) (*cluster, error) {
	dir, err := filepath.Abs(data)
	if err != nil {
		return nil, rookery.E("find data directory", rookery.KindInvalid, err)
	}
	if nodes < 1 || nodes > cli.MaxDevNodes {
		return nil, cli.Usagef("-nodes %d: choose 1 to %d", nodes, cli.MaxDevNodes)
	}
	logger, err := s.Logger(level)
	if err != nil {
		return nil, err
	}
	d := &cluster{Shell: s, dir: dir, logger: logger, level: level}
	if d.ports, err = choosePorts(base, nodes); err != nil {
		return nil, err
	}
	if settings != "" {
		if d.changes, err = os.ReadFile(settings); err != nil {
			return nil, cli.Usagef("-settings: %v", err)
		}
	}
	return d, nil
}

// ports are those of one node; the first node's hold the directory's too.
type ports struct{ smtp, submission, submissions, imap, imaps, pop3, pop3s, ldap, cluster, health int }

func choosePorts(base, nodes int) ([]ports, error) {
	all := make([]ports, nodes)
	for k := range all {
		p := ports{2525, 2587, 2465, 2143, 2993, 2110, 2995, 2389, 2717, 2718}
		step := 10000 * k
		if base != 0 {
			p = ports{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
			step = base + 100*k
		}
		for _, port := range []*int{&p.smtp, &p.submission, &p.submissions, &p.imap, &p.imaps, &p.pop3, &p.pop3s, &p.ldap, &p.cluster,
			&p.health} {
			if *port += step; *port < 1 || *port > 65535 {
				return nil, cli.Usagef("port %d of node %d does not exist: choose another -port-base or fewer -nodes", *port, k+1)
			}
		}
		all[k] = p
	}
	return all, nil
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// devFacts is DIR/dev.json.
type devFacts struct {
	Nodes []devNode `json:"nodes"`
	LDAP  string    `json:"ldap"`
	CA    string    `json:"ca"`
	Users []devUser `json:"users"`
	Admin devAdmin  `json:"ldap_admin"`
}

type devNode struct {
	Name        string `json:"name"`
	PID         int    `json:"pid"`
	SMTP        string `json:"smtp"`
	Submission  string `json:"submission"`
	Submissions string `json:"submissions"`
	IMAP        string `json:"imap"`
	IMAPS       string `json:"imaps"`
	POP3        string `json:"pop3"`
	POP3S       string `json:"pop3s"`
	Health      string `json:"health"`
}

type devUser struct {
	Login    string `json:"login"`
	Password string `json:"password"`
}

type devAdmin struct {
	DN       string `json:"dn"`
	Password string `json:"password"`
	Base     string `json:"base"`
}

const (
	devDomain = "example.test"
	devBase   = "dc=example,dc=test"
)

// devSecrets are made once for a data directory and kept in it.
type devSecrets struct {
	Admin    string            `json:"admin"`
	Service  string            `json:"service"`
	Users    map[string]string `json:"users"`
	Welcomed bool              `json:"welcomed"`
}

type cluster struct {
	*cli.Shell
	dir     string
	ports   []ports
	logger  *slog.Logger
	level   string
	changes []byte // of the settings, by -settings
	secrets devSecrets
	nodes   []*devProcess
	people  people
	mu      sync.Mutex // held while dev.json is written
}

var devPeople = []embedded.User{
	{UID: "alice", Name: "Alice Example", Mail: "alice@" + devDomain, Aliases: []string{"alice.example@" + devDomain}},
	{UID: "bob", Name: "Bob Example", Mail: "bob@" + devDomain},
	{UID: "carol", Name: "Carol Example", Mail: "carol@" + devDomain},
}

func (d *cluster) run(ctx context.Context, asJSON bool) (err error) {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return rookery.E("make data directory", rookery.KindDenied, err)
	}
	lock, err := datadir.Dir(d.dir).Lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	// What an earlier run wrote is not true any more.
	if err := os.Remove(d.path("dev.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return rookery.E("start", rookery.KindDenied, err)
	}
	if err := d.loadSecrets(); err != nil {
		return err
	}
	if err := MakeCA(d.path("tls")); err != nil {
		return err
	}
	d.people.open = d.openDirectory
	if err := d.people.start(); err != nil {
		return err
	}
	defer func() {
		if cerr := d.people.stop(); !rookery.Is(cerr, rookery.KindConflict) { // it may be away
			err = errors.Join(err, cerr)
		}
	}()
	defer d.stopNodes()
	if err := d.startNodes(ctx); err != nil {
		return err
	}
	if err := d.followPorts(ctx); err != nil {
		return err
	}
	if err := d.welcome(ctx); err != nil {
		return err
	}
	orders, err := d.serveOrders()
	if err != nil {
		return err
	}
	defer orders.Close()
	if err := d.writeFacts(); err != nil {
		return err
	}
	if facts := d.facts(); asJSON {
		err = d.Print(facts)
	} else {
		err = d.table(facts)
	}
	if err != nil {
		return err
	}
	<-ctx.Done()
	os.Remove(d.path("dev.json"))
	return nil
}

func (d *cluster) path(elem ...string) string {
	return filepath.Join(append([]string{d.dir}, elem...)...)
}

func (d *cluster) loadSecrets() error {
	const op = "read dev secrets"
	b, err := os.ReadFile(d.path("secrets.json"))
	if err == nil {
		if err := json.Unmarshal(b, &d.secrets); err != nil {
			return rookery.E(op, rookery.KindDamaged, fmt.Errorf("%s: %w; remove %s to begin anew", d.path("secrets.json"), err, d.dir))
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return rookery.E(op, rookery.KindDenied, err)
	}
	d.secrets = devSecrets{Admin: rand.Text(), Service: rand.Text(), Users: map[string]string{}}
	for _, u := range devPeople {
		d.secrets.Users[u.UID] = strings.ToLower(rand.Text()[:12])
	}
	return d.saveSecrets()
}

func (d *cluster) saveSecrets() error { return d.writeJSON("secrets.json", d.secrets) }

func (d *cluster) writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return rookery.E("write "+name, rookery.KindInvalid, err)
	}
	if err := durable.WriteFile(d.path(name), append(b, '\n'), 0o600); err != nil {
		return rookery.E("write "+name, rookery.KindDenied, err)
	}
	return nil
}

func (d *cluster) openDirectory() (*embedded.Server, error) {
	fresh := !cli.Exists(d.path("directory.ldif"))
	s, err := embedded.Open(embedded.Options{
		Path: d.path("directory.ldif"), Addr: local(d.ports[0].ldap), Base: devBase,
		AdminPassword: d.secrets.Admin, Logger: d.logger,
	})
	if err != nil || !fresh {
		return s, err
	}
	people := slices.Clone(devPeople)
	for i := range people {
		people[i].Password = d.secrets.Users[people[i].UID]
	}
	if err := s.AddUser(people...); err != nil {
		return nil, errors.Join(err, s.Close(), os.Remove(d.path("directory.ldif")))
	}
	return s, nil
}

func (d *cluster) config(k int) settings.Node {
	c := settings.DefaultNode()
	c.Name, c.Hostname = cli.DevNode(k), "localhost"
	c.DataDir = d.path(c.Name)
	c.TLS = settings.TLSFiles{Certificate: d.path("tls", "cert.pem"), Key: d.path("tls", "key.pem")}
	p := d.ports[k]
	c.Cluster = settings.Peering{Listen: local(p.cluster), Advertise: local(p.cluster)}
	c.Listen = settings.Listen{
		SMTP: []string{local(p.smtp)}, Submission: []string{local(p.submission)}, Submissions: []string{local(p.submissions)},
		IMAP: []string{local(p.imap)}, IMAPS: []string{local(p.imaps)}, POP3: []string{local(p.pop3)}, POP3S: []string{local(p.pop3s)},
		Health: []string{local(p.health)},
	}
	return c
}

func (d *cluster) settings() (*settings.Cluster, error) {
	s := settings.Default()
	s.Domains = []string{devDomain}
	s.Postmaster = "alice@" + devDomain
	s.Backup.Kind, s.Backup.Path = "dir", filepath.Join("..", "backup")
	s.Store.Path = filepath.Join("..", "objects") // so that the data directory may be moved
	if len(d.ports) < 3 {
		s.Replication = 1
	}
	l := settings.DefaultDirectory()
	l.URLs = d.directoryURLs()
	l.BindDN, l.Password, l.Base = "cn=admin,"+devBase, d.secrets.Admin, devBase
	l.Profile, l.Copy = "openldap", "2s"
	s.Directories["main"] = l
	if err := s.Overlay(d.changes); err != nil {
		return nil, err
	}
	return &s, s.Validate(nil)
}

func (d *cluster) facts() devFacts {
	f := devFacts{
		LDAP: local(d.ports[0].ldap), CA: d.path("tls", "ca.pem"),
		Admin: devAdmin{DN: "cn=admin," + devBase, Password: d.secrets.Admin, Base: devBase},
	}
	for k, p := range d.ports {
		f.Nodes = append(f.Nodes, devNode{
			Name: cli.DevNode(k), PID: d.nodes[k].pid(), SMTP: local(p.smtp), Submission: local(p.submission), Submissions: local(p.submissions),
			IMAP: local(p.imap), IMAPS: local(p.imaps), POP3: local(p.pop3), POP3S: local(p.pop3s), Health: local(p.health),
		})
	}
	for _, u := range devPeople {
		f.Users = append(f.Users, devUser{Login: u.Mail, Password: d.secrets.Users[u.UID]})
	}
	return f
}

// writeFacts keeps dev.json true.
func (d *cluster) writeFacts() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writeJSON("dev.json", d.facts())
}

// called is how the user can call this program again.
func called() string {
	self, err := os.Executable()
	if err != nil {
		return "rookery"
	}
	if strings.Contains(self, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/rookery"
	}
	if found, err := exec.LookPath("rookery"); err == nil && found == self {
		return "rookery"
	}
	return self
}

func (d *cluster) table(f devFacts) error {
	w := tabwriter.NewWriter(d.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "Rookery serves %s from %s\n\n", devDomain, d.dir)
	fmt.Fprint(w, "NODE\tSMTP\tSUBMISSION (STARTTLS, TLS)\tIMAP (STARTTLS, TLS)\tPOP3 (STLS, TLS)\n")
	for _, n := range f.Nodes {
		fmt.Fprintf(w, "%s\t%s\t%s, %s\t%s, %s\t%s, %s\n", n.Name, n.SMTP, n.Submission, n.Submissions, n.IMAP, n.IMAPS, n.POP3, n.POP3S)
	}
	fmt.Fprint(w, "\nUSER\tPASSWORD\n")
	for _, u := range f.Users {
		fmt.Fprintf(w, "%s\t%s\n", u.Login, u.Password)
	}
	fmt.Fprintf(w, "\nLDAP\t%s, %s\nCA\t%s\n", f.LDAP, f.Admin.Base, f.CA)
	if err := w.Flush(); err != nil {
		return err
	}
	u, last := f.Users[0], len(f.Nodes)-1
	fmt.Fprintf(d.Out, "\nTry:\n  curl --cacert %s --user %s:%s 'imaps://localhost:%d/INBOX;MAILINDEX=1'\n", f.CA, u.Login,
		u.Password, d.ports[0].imaps)
	fmt.Fprintf(d.Out, "  printf 'Subject: hello\\r\\n\\r\\nhi\\r\\n' | curl --mail-from %s --mail-rcpt %s --upload-file - "+
		"smtp://%s\n", f.Users[1].Login, u.Login, f.Nodes[0].SMTP)
	if last > 0 {
		fmt.Fprintf(d.Out, "  %s dev kill %s -data %s\n", called(), f.Nodes[0].Name, d.dir)
	}
	fmt.Fprintf(d.Out, "  curl --cacert %s --user %s:%s pop3s://localhost:%d/2\n\n", f.CA, u.Login, u.Password, d.ports[last].pop3s)
	_, err := fmt.Fprintln(d.Out, "Ctrl-C stops it; the next start keeps the mail.")
	return err
}
