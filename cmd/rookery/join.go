package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"rookery/cmd/node"
)

func tokenVerb() verb {
	v := verb{name: "token", args: "[-data DIR | -socket PATH] [-valid DURATION] [--json]", short: "mint a token with which one node may join",
		long: `Mints a token with which one further node may join the cluster, once and
within the time given, and prints the command to run there. The token is a
secret until it is used.

Example: rookery token -data /var/lib/rookery -valid 1h`}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		admin := adminFlags(f)
		valid := f.Duration("valid", time.Hour, "how long the token may be used, 1m to 720h")
		asJSON := f.Bool("json", false, "print JSON")
		if err := parse(f, args); err != nil {
			return err
		}
		if f.NArg() > 0 {
			return usagef("takes no arguments, only flags")
		}
		i, err := admin().Mint(ctx, *valid)
		if err != nil {
			return err
		}
		if *asJSON {
			enc := json.NewEncoder(s.out)
			enc.SetIndent("", "  ")
			return enc.Encode(i)
		}
		_, err = fmt.Fprintf(s.out, "On the new machine, within %s:\n\n  ROOKERY_TOKEN=%s \\\n    rookery join -config /etc/rookery/rookery.toml %s\n", plainly(*valid), i.Token, strings.Join(i.Addresses, " "))
		return err
	}
	return v
}

// plainly is a time without the zeros that it ends with: 1h, not 1h0m0s.
func plainly(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func joinVerb() verb {
	v := verb{name: "join", args: "-config FILE [-token-file FILE] [--json] ADDRESS...", short: "enter a cluster with a token",
		long: `Makes this machine a node of a cluster: with the token that rookery token
printed on a node of it, and the host:port of one or more nodes to ask. The
token is taken from ROOKERY_TOKEN or a file, never from the command line, where
others could read it. Then start the node with rookery serve; the cluster brings
its groups to it.

Example: ROOKERY_TOKEN=v1... rookery join -config /etc/rookery/rookery.toml mail1.example.com:7717`}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		config := f.String("config", "", "path of the node file")
		file := f.String("token-file", "", "file that holds the token (- is standard input)")
		asJSON := f.Bool("json", false, "print JSON when it is done")
		addresses, err := interleaved(f, args)
		if err != nil {
			return err
		}
		token := os.Getenv("ROOKERY_TOKEN")
		if *file != "" {
			b, err := readInput(*file)
			if err != nil {
				return err
			}
			token = strings.TrimSpace(string(b))
		}
		if *config == "" || token == "" || len(addresses) == 0 {
			return usagef("needs -config FILE, a token in ROOKERY_TOKEN or -token-file, and the address of a node")
		}
		for _, a := range addresses {
			if _, port, err := net.SplitHostPort(a); err != nil || port == "" {
				return usagef("%q is no address of a node: write it like mail1.example.com:7717", a)
			}
		}
		cfg, err := node.LoadConfig(*config)
		if err != nil {
			return err
		}
		if err := node.Join(ctx, cfg, node.Deps{}, token, addresses); err != nil {
			return err
		}
		if *asJSON {
			return json.NewEncoder(s.out).Encode(map[string]string{"node": cfg.Name, "data_dir": cfg.DataDir})
		}
		_, err = fmt.Fprintf(s.out, "This machine is a node of the cluster. Next: rookery serve -config %s\n", *config)
		return err
	}
	return v
}
