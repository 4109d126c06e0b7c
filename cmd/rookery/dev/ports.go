package dev

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/settings"
)

func (d *cluster) directoryURLs() []string { return []string{"ldap://" + local(d.ports[0].ldap)} }

// followPorts puts the directory's address of this run into the settings, which
// hold that of the run that wrote them. A directory that the user has put in
// the place of the embedded one stays.
func (d *cluster) followPorts(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	admin := adminapi.New(d.config(0).DataDir + "/admin.sock")
	for {
		err := d.followPort(ctx, admin)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond): // nodes may be electing
		case <-ctx.Done():
			return rookery.E("follow the ports", rookery.KindUnavailable,
				fmt.Errorf("the settings could not be given the directory's address: %w; start several nodes under the -port-base they had", err))
		}
	}
}

func (d *cluster) followPort(ctx context.Context, admin *adminapi.Client) error {
	doc, version, err := admin.Settings(ctx)
	if err != nil {
		return err
	}
	s, err := settings.Parse(doc)
	if err != nil {
		return err
	}
	l, ok := s.Directories["main"]
	want := d.directoryURLs()
	if !ok || len(l.URLs) != 1 || !strings.HasPrefix(l.URLs[0], "ldap://127.0.0.1:") || slices.Equal(l.URLs, want) {
		return nil
	}
	l.URLs = want
	s.Directories["main"] = l
	if doc, err = s.Document(); err != nil {
		return err
	}
	return admin.ReplaceSettings(ctx, adminapi.SettingsBody{Document: string(doc), Version: version, Force: true}) // other nodes are starting
}
