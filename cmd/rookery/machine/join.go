package machine

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"rookery/cmd/node/datadir"
	"rookery/cmd/rookery/cli"
)

// Join is rookery join.
func Join(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "join -config FILE ADDRESS...", Short: "enter a cluster with a token",
		Long: `Makes this machine a node of a cluster: with the token that rookery token
printed on a node of it, and the host:port of one or more nodes to ask. The
token is taken from ROOKERY_TOKEN or a file, never from the command line, where
others could read it. Then start the node with rookery serve; the cluster brings
its groups to it.`,
		Example:     "  ROOKERY_TOKEN=v1... rookery join -config /etc/rookery/rookery.toml mail1.example.com:7717",
		Annotations: cli.Exits("4 this machine is a node already", "5 no node of the cluster answers"),
	}
	f := v.Flags()
	config := f.String("config", "", "path of the node file")
	file := f.String("token-file", "", "file that holds the token (- is standard input)")
	asJSON := f.Bool("json", false, "print JSON when it is done")
	v.RunE = func(c *cobra.Command, addresses []string) error {
		token := os.Getenv("ROOKERY_TOKEN")
		if *file != "" {
			b, err := cli.ReadInput(*file)
			if err != nil {
				return err
			}
			token = strings.TrimSpace(string(b))
		}
		if *config == "" || token == "" || len(addresses) == 0 {
			return cli.Usagef("needs -config FILE, a token in ROOKERY_TOKEN or -token-file, and the address of a node")
		}
		for _, a := range addresses {
			if _, port, err := net.SplitHostPort(a); err != nil || port == "" {
				return cli.Usagef("%q is no address of a node: write it like mail1.example.com:7717", a)
			}
		}
		cfg, err := LoadNodeFile(*config)
		if err != nil {
			return err
		}
		if err := datadir.Join(c.Context(), cfg, datadir.Joining{Token: token, Addresses: addresses}); err != nil {
			return err
		}
		if *asJSON {
			return s.Line(map[string]string{"node": cfg.Name, "data_dir": cfg.DataDir})
		}
		_, err = fmt.Fprintf(s.Out, "This machine is a node of the cluster. Next: rookery serve -config %s\n", *config)
		return err
	}
	return v
}
