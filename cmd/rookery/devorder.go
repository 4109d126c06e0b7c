package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"rookery"
)

// devOrder asks the supervisor of a dev cluster to kill or start a node.
func devOrder(ctx context.Context, s *shell, dir, order, name string, asJSON bool) error {
	c := http.Client{Timeout: 3 * time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "dev.sock"))
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://dev/"+order+"/"+url.PathEscape(name), nil)
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
		kind := rookery.KindConflict
		for k, status := range devStatus {
			if status == resp.StatusCode {
				kind = k
			}
		}
		return rookery.E(order+" node", kind, errors.New(strings.TrimSpace(string(text))))
	}
	if asJSON {
		return json.NewEncoder(s.out).Encode(map[string]string{"node": name, "done": order})
	}
	_, err = fmt.Fprintf(s.out, "%s: %s done\n", name, order)
	return err
}

// devStatus is how the supervisor answers what it cannot do; other kinds are a
// conflict.
var devStatus = map[rookery.Kind]int{
	rookery.KindNotFound:    http.StatusNotFound,
	rookery.KindUnavailable: http.StatusServiceUnavailable,
}

// devError answers an order that failed.
func devError(w http.ResponseWriter, err error) {
	http.Error(w, err.Error(), cmp.Or(devStatus[rookery.KindOf(err)], http.StatusConflict))
}
