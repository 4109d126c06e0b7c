package inforce

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"

	"rookery"
	"rookery/cmd/node/directories"
	"rookery/cmd/node/objects"
	"rookery/cmd/node/settings"
	"rookery/directory"
	"rookery/directory/ldap"
)

// Machine is the Checker of the machine that a node runs on.
type Machine struct{ DataDir string }

var _ settings.Checker = Machine{}

// ldapKeys are the settings that have another name in directory/ldap.
var ldapKeys = map[string]string{
	"attributes.user_filter": "user_filter", "fingerprints": "fingerprint",
}

// Directories implements Checker, by what opens them.
func (Machine) Directories(s *settings.Cluster, bad func(key, problem string)) {
	var members []directory.Member
	for _, name := range s.DirectoryNames() {
		d := s.Directories[name]
		members = append(members, directory.Member{Name: name, Prefixes: d.Prefixes})
		directories.Config(name, s).Check(func(key, problem string) {
			switch {
			case key == "domains" && len(s.Domains) == 0: // is told of by itself
				return
			case key == "domains" && len(d.Domains) > 0:
				problem = fmt.Sprintf("%q: none is among the domains of the settings; name some of those, or none to serve all", d.Domains)
			case key == "password":
				problem = fmt.Sprintf("is empty, and %s needs one; set it from a file: rookery config set directories.%s.password @FILE",
					d.BindDN, name)
			}
			bad("directories."+name+"."+cmp.Or(ldapKeys[key], key), problem)
		})
	}
	var e *rookery.Error
	if errors.As(directory.Distinct(members...), &e) {
		bad("directories", e.Err.Error())
	}
}

// Store implements Checker, by opening it. That asks no service, and makes the
// directory of a store of kind dir.
func (m Machine) Store(s *settings.Cluster, bad func(key, problem string)) {
	store, err := objects.OpenStore(&s.Store, m.DataDir, slog.New(slog.DiscardHandler))
	var e *rookery.Error
	switch {
	case err == nil:
		objects.Close(store)
	case s.Store.Kind == "dir":
		bad("store.path", fmt.Sprintf("%v; name a directory that the user who runs the node may write", err))
	case s.Store.Kind == "s3" && errors.As(err, &e):
		key, problem, named := strings.Cut(e.Err.Error(), ": ")
		if named && !strings.Contains(key, " ") {
			bad("store."+key, problem)
		} else {
			bad("store", e.Err.Error())
		}
	}
}

// Checked is one thing that was tried of settings before they are used.
type Checked struct {
	What, Result string
	Err          error
}

// Check tries the directories and the object store that settings
// name; data is the data directory, where a relative path of objects begins.
// It stops at the first that does not work.
func Check(ctx context.Context, s settings.Cluster, data string, logger *slog.Logger) []Checked {
	var checks []Checked
	if s.Store.Kind == "dir" {
		defer objects.RemoveMade(objects.Path(&s.Store, data))()
	}
	if err := s.Validate(Machine{data}); err != nil {
		return []Checked{{"settings", "not valid", err}}
	}
	for _, name := range s.DirectoryNames() {
		c := checkDirectory(ctx, name, &s, nil, logger)
		if checks = append(checks, c); c.Err != nil {
			return checks
		}
	}
	return append(checks, checkStore(ctx, &s.Store, data))
}

func checkDirectory(ctx context.Context, name string, s *settings.Cluster, dial func(context.Context, string) (net.Conn, error),
	logger *slog.Logger) Checked {
	c := Checked{What: "directory " + name}
	by := directories.Config(name, s)
	by.Dial = dial
	d, err := ldap.Open(ctx, by, logger)
	if err != nil {
		c.Result, c.Err = "not usable", err
		return c
	}
	defer d.Close()
	var up, down []string
	for _, h := range d.Health() {
		if h.Err == nil {
			up = append(up, h.URL)
		} else {
			down = append(down, fmt.Sprintf("%s: %v", h.URL, h.Err))
		}
	}
	if len(up) == 0 {
		c.Result = "no server can be used"
		c.Err = rookery.E("try directory "+name, rookery.KindUnavailable,
			fmt.Errorf("no server can be used: %s", strings.Join(down, "; ")))
		return c
	}
	c.Result = fmt.Sprintf("%s answers, profile %s", strings.Join(up, ", "), d.Profile())
	return c
}

func checkStore(ctx context.Context, s *settings.Store, data string) Checked {
	c := Checked{What: "object store " + s.Kind}
	if c.Result, c.Err = objects.Try(ctx, s, data); c.Err != nil {
		c.Result = "not usable"
	}
	return c
}
