package dev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/rookery/cli"
)

// devOrderVerb makes the verbs that ask a running rookery dev for something.
func devOrderVerb(s *cli.Shell, order, short string, data *string, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use: order + " NODE", Short: short, Args: cobra.ExactArgs(1), Example: "  rookery dev " + order + " node2 -data ./rookery-data",
		Annotations: cli.Exits("3 there is no such node", "4 it is so already", "5 rookery dev does not run on the directory"),
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := filepath.Abs(*data)
			if err != nil {
				return rookery.E("find data directory", rookery.KindInvalid, err)
			}
			return devOrder(c.Context(), s, dir, order, args[0], *asJSON)
		},
	}
}

// devOrder asks the supervisor of a dev cluster to kill or start a node.
func devOrder(ctx context.Context, s *cli.Shell, dir, order, name string, asJSON bool) error {
	c := http.Client{Timeout: 3 * time.Minute, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "dev.sock"))
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://dev/"+order+"/"+url.PathEscape(name), nil)
	if err != nil {
		return cli.Usagef("%q is no name of a node", name)
	}
	resp, err := c.Do(req)
	if err != nil {
		return rookery.E(order+" node", rookery.KindUnavailable,
			fmt.Errorf("%w; does rookery dev run on %s? name its directory with -data", err, dir))
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
	what := map[string]string{"node": name, "done": order}
	if order == "directory" {
		what = map[string]string{"directory": "main", "done": name}
		name, order = "directory", name
	}
	if asJSON {
		return s.Line(what)
	}
	_, err = fmt.Fprintf(s.Out, "%s: %s done\n", name, order)
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
