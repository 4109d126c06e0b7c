package main

import (
	"context"
	"encoding/json"
	"fmt"
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
		_, err = fmt.Fprintf(s.out, "On the new machine, within %v:\n\n  ROOKERY_TOKEN=%s \\\n    rookery join -config /etc/rookery/rookery.toml %s\n", *valid, i.Token, strings.Join(i.Addresses, " "))
		return err
	}
	return v
}

func joinVerb() verb {
	v := verb{name: "join", args: "-config FILE [-token-file FILE] ADDRESS...", short: "enter a cluster with a token",
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
		cfg, err := node.LoadConfig(*config)
		if err != nil {
			return err
		}
		if err := node.Join(ctx, cfg, node.Deps{}, token, addresses); err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.out, "This machine is a node of the cluster. Next: rookery serve -config %s\n", *config)
		return err
	}
	return v
}
