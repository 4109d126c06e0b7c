package node

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"rookery"
	"rookery/directory/ldap"
)

// Check is one thing that was tried of settings before they are used.
type Check struct {
	What, Result string
	Err          error
}

// CheckSettings tries the directories and the object store that settings
// name; data is the data directory, where a relative path of objects begins.
// It stops at the first that does not work.
func CheckSettings(ctx context.Context, s Settings, data string, logger *slog.Logger) []Check {
	var checks []Check
	if err := s.Validate(); err != nil {
		return []Check{{"settings", "not valid", err}}
	}
	for _, name := range s.directoryNames() {
		c := checkDirectory(ctx, name, &s, logger)
		if checks = append(checks, c); c.Err != nil {
			return checks
		}
	}
	return append(checks, checkStore(ctx, &s.Store, data))
}

func checkDirectory(ctx context.Context, name string, s *Settings, logger *slog.Logger) Check {
	c := Check{What: "directory " + name}
	d, err := ldap.Open(ctx, ldapConfig(name, s), logger)
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
		c.Result = "no server answers"
		c.Err = rookery.E("try directory "+name, rookery.KindUnavailable, fmt.Errorf("no server answers: %s", strings.Join(down, "; ")))
		return c
	}
	c.Result = fmt.Sprintf("%s answers, profile %s", strings.Join(up, ", "), d.Profile())
	return c
}

func checkStore(ctx context.Context, s *Store, data string) Check {
	c := Check{What: "object store " + s.Kind}
	if c.Result, c.Err = TryStore(ctx, s, data); c.Err != nil {
		c.Result = "not usable"
	}
	return c
}
