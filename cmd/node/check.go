package node

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"rookery"
	"rookery/directory/ldap"
	"rookery/storage/blob"
)

// Check is one thing that was tried of settings before they are used.
type Check struct {
	What, Result string
	Err          error
}

// CheckSettings tries the directories and the object store that settings
// name. It stops at the first that does not work.
func CheckSettings(ctx context.Context, s Settings, logger *slog.Logger) []Check {
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
	return append(checks, checkStore(ctx, &s.Store, logger))
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

func checkStore(ctx context.Context, s *Store, logger *slog.Logger) Check {
	c := Check{What: "object store " + s.Kind}
	if s.Kind == "dir" {
		c.Result = "a directory"
		return c
	}
	store, err := openStore(s, "", logger)
	if err == nil {
		err = tryStore(ctx, store)
	}
	c.Result, c.Err = "writes, reads and deletes", err
	if err != nil {
		c.Result = "not usable"
	}
	return c
}

// tryStore writes, reads and deletes a small object.
func tryStore(ctx context.Context, s blob.Store) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	const text = "rookery was here"
	key := fmt.Sprintf("check/%d", time.Now().UnixNano())
	if err := s.Put(ctx, key, strings.NewReader(text), int64(len(text)), blob.PutOptions{}); err != nil {
		return err
	}
	r, err := s.Get(ctx, key, 0, int64(len(text)))
	if err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	return s.Delete(ctx, key)
}
