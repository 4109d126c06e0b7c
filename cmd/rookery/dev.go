package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"rookery"
	"rookery/cmd/node"
	"rookery/directory/embedded"
)

const devLong = `Runs a whole mail server on this machine for trying it out: a node, a small
LDAP directory with three users, an object store in a directory and a throwaway
CA. It needs no root, no network and no other program. Everything is kept in the
data directory; the next start finds the mail again. Ports listen on 127.0.0.1.

What it printed stands in DIR/dev.json for scripts, once the node serves.

Never for production: the directory and the CA are toys.

Example: rookery dev -data ./rookery-data -port-base 12000`

func devVerb() verb {
	v := verb{name: "dev", args: "[-data DIR] [-port-base N] [--json] [-log-level LEVEL]",
		short: "try it out: a whole mail server on this machine", long: devLong}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		data := f.String("data", "./rookery-data", "data directory, made if it is not there")
		base := f.Int("port-base", 0, "pack all ports from this one upwards (default: 2525, 2587, 2465, 2143, 2993, 2110, 2995, 2389)")
		asJSON := f.Bool("json", false, "print the facts as JSON instead of a table")
		level := f.String("log-level", "warn", "debug, info, warn or error")
		if err := parse(f, args); err != nil {
			return err
		}
		if f.NArg() > 0 {
			return usagef("takes no arguments, only flags")
		}
		ports, err := choosePorts(*base)
		if err != nil {
			return err
		}
		logger, err := newLogger(s, *level)
		if err != nil {
			return err
		}
		dir, err := filepath.Abs(*data)
		if err != nil {
			return rookery.E("find data directory", rookery.KindInvalid, err)
		}
		d := &dev{shell: s, dir: dir, ports: ports, logger: logger}
		return d.run(ctx, *asJSON)
	}
	return v
}

// ports of one node and of the directory.
type ports struct{ smtp, submission, submissions, imap, imaps, pop3, pop3s, ldap int }

func choosePorts(base int) (ports, error) {
	if base == 0 {
		return ports{2525, 2587, 2465, 2143, 2993, 2110, 2995, 2389}, nil
	}
	if base < 1 || base > 65528 {
		return ports{}, usagef("-port-base %d: choose a port between 1 and 65528", base)
	}
	return ports{base, base + 1, base + 2, base + 3, base + 4, base + 5, base + 6, base + 7}, nil
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

type dev struct {
	*shell
	dir     string
	ports   ports
	logger  *slog.Logger
	secrets devSecrets
}

var devPeople = []embedded.User{
	{UID: "alice", Name: "Alice Example", Mail: "alice@" + devDomain, Aliases: []string{"alice.example@" + devDomain}},
	{UID: "bob", Name: "Bob Example", Mail: "bob@" + devDomain},
	{UID: "carol", Name: "Carol Example", Mail: "carol@" + devDomain},
}

func (d *dev) run(ctx context.Context, asJSON bool) (err error) {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return rookery.E("make data directory", rookery.KindDenied, err)
	}
	// What an earlier run wrote is not true any more.
	if err := os.Remove(d.path("dev.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return rookery.E("start", rookery.KindDenied, err)
	}
	if err := d.loadSecrets(); err != nil {
		return err
	}
	if err := makeDevCA(d.path("tls")); err != nil {
		return err
	}
	dir, err := d.openDirectory()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	n, err := node.Open(ctx, d.config(), node.Deps{Logger: d.logger, Settings: d.settings()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeNode(n)) }()
	if err := d.welcome(ctx); err != nil {
		return err
	}
	facts := d.facts()
	if err := d.writeJSON("dev.json", facts); err != nil {
		return err
	}
	if asJSON {
		enc := json.NewEncoder(d.out)
		enc.SetIndent("", "  ")
		err = enc.Encode(facts)
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

func (d *dev) path(elem ...string) string { return filepath.Join(append([]string{d.dir}, elem...)...) }

func (d *dev) loadSecrets() error {
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

func (d *dev) saveSecrets() error { return d.writeJSON("secrets.json", d.secrets) }

func (d *dev) writeJSON(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return rookery.E("write "+name, rookery.KindInvalid, err)
	}
	tmp := d.path("." + name)
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return rookery.E("write "+name, rookery.KindDenied, err)
	}
	if err := os.Rename(tmp, d.path(name)); err != nil {
		return rookery.E("write "+name, rookery.KindDenied, err)
	}
	return nil
}

func (d *dev) openDirectory() (*embedded.Server, error) {
	fresh := !exists(d.path("directory.ldif"))
	s, err := embedded.Open(embedded.Options{
		Path: d.path("directory.ldif"), Addr: local(d.ports.ldap), Base: devBase,
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

func (d *dev) config() node.Config {
	c := node.DefaultConfig()
	c.Name, c.Hostname = "node1", "localhost"
	c.DataDir = d.path("node1")
	c.TLS = node.TLSFiles{Certificate: d.path("tls", "cert.pem"), Key: d.path("tls", "key.pem")}
	p := d.ports
	c.Listen = node.Listen{
		SMTP: []string{local(p.smtp)}, Submission: []string{local(p.submission)}, Submissions: []string{local(p.submissions)},
		IMAP: []string{local(p.imap)}, IMAPS: []string{local(p.imaps)}, POP3: []string{local(p.pop3)}, POP3S: []string{local(p.pop3s)},
	}
	return c
}

func (d *dev) settings() *node.Settings {
	s := node.DefaultSettings()
	s.Domains = []string{devDomain}
	s.Postmaster = "alice@" + devDomain
	s.Store.Path = d.path("objects")
	l := node.DefaultDirectory()
	l.URLs = []string{"ldap://" + local(d.ports.ldap)}
	l.BindDN, l.Password, l.Base = "cn=admin,"+devBase, d.secrets.Admin, devBase
	l.Profile = "openldap"
	s.Directories["main"] = l
	return &s
}

func (d *dev) facts() devFacts {
	p := d.ports
	f := devFacts{
		Nodes: []devNode{{
			Name: "node1", PID: os.Getpid(), SMTP: local(p.smtp), Submission: local(p.submission), Submissions: local(p.submissions),
			IMAP: local(p.imap), IMAPS: local(p.imaps), POP3: local(p.pop3), POP3S: local(p.pop3s),
		}},
		LDAP: local(p.ldap), CA: d.path("tls", "ca.pem"),
		Admin: devAdmin{DN: "cn=admin," + devBase, Password: d.secrets.Admin, Base: devBase},
	}
	for _, u := range devPeople {
		f.Users = append(f.Users, devUser{Login: u.Mail, Password: d.secrets.Users[u.UID]})
	}
	return f
}

func (d *dev) table(f devFacts) error {
	w := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	n := f.Nodes[0]
	fmt.Fprintf(w, "Rookery serves %s from %s\n\n", devDomain, d.dir)
	fmt.Fprintf(w, "SMTP\t%s\tmail from other servers\n", n.SMTP)
	fmt.Fprintf(w, "submission\t%s, %s\tmail from users (STARTTLS, TLS)\n", n.Submission, n.Submissions)
	fmt.Fprintf(w, "IMAP\t%s, %s\tmailboxes (STARTTLS, TLS)\n", n.IMAP, n.IMAPS)
	fmt.Fprintf(w, "POP3\t%s, %s\tinboxes (STLS, TLS)\n", n.POP3, n.POP3S)
	fmt.Fprintf(w, "LDAP\t%s\tthe directory, %s\n", f.LDAP, f.Admin.Base)
	fmt.Fprintf(w, "CA\t%s\t\n\nUSER\tPASSWORD\n", f.CA)
	for _, u := range f.Users {
		fmt.Fprintf(w, "%s\t%s\n", u.Login, u.Password)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	u := f.Users[0]
	fmt.Fprintf(d.out, "\nTry:\n  curl --cacert %s --user %s:%s 'imaps://localhost:%d/INBOX;MAILINDEX=1'\n", f.CA, u.Login, u.Password, d.ports.imaps)
	fmt.Fprintf(d.out, "  printf 'Subject: hello\\r\\n\\r\\nhi\\r\\n' | curl --mail-from %s --mail-rcpt %s --upload-file - smtp://%s\n", f.Users[1].Login, u.Login, n.SMTP)
	fmt.Fprintf(d.out, "  curl --cacert %s --user %s:%s pop3s://localhost:%d/1\n\n", f.CA, u.Login, u.Password, d.ports.pop3s)
	_, err := fmt.Fprintln(d.out, "Ctrl-C stops it; the next start keeps the mail.")
	return err
}
