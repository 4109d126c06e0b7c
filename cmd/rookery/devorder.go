package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"rookery"
)

// devOrder asks the supervisor of a dev cluster to kill or start a node.
func devOrder(ctx context.Context, s *shell, dir, order, name string) error {
	c := http.Client{Timeout: 3 * time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "dev.sock"))
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://dev/"+order+"/"+name, nil)
	if err != nil {
		return usagef("%q is no name of a node", name)
	}
	resp, err := c.Do(req)
	if err != nil {
		return rookery.E(order+" node", rookery.KindUnavailable, fmt.Errorf("%w; does rookery dev run on %s? name its directory with -data", err, dir))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return rookery.E(order+" node", rookery.KindUnknown, err)
	}
	if resp.StatusCode != http.StatusOK {
		return rookery.E(order+" node", rookery.KindConflict, errors.New(strings.TrimSpace(string(text))))
	}
	fmt.Fprintf(s.out, "%s: %s done\n", name, order)
	return nil
}
