package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rookery/cmd/rookery/cli"
)

func tokenVerb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "token", Short: "mint a token with which one node may join", Args: cobra.ExactArgs(0),
		Long: `Mints a token with which one further node may join the cluster, once and
within the time given, and prints the command to run there. The token is a
secret until it is used.`,
		Example: "  rookery token -data /var/lib/rookery -valid 1h", Annotations: cli.Exits(),
	}
	a := s.Ask(v.Flags())
	valid := v.Flags().Duration("valid", time.Hour, "how long the token may be used, 1m to 720h")
	v.RunE = func(c *cobra.Command, _ []string) error {
		i, err := a.Admin().Mint(c.Context(), *valid)
		if err != nil {
			return err
		}
		if a.JSON {
			return a.Print(i)
		}
		_, err = fmt.Fprintf(s.Out, "On the new machine, within %s:\n\n  ROOKERY_TOKEN=%s \\\n    rookery join -config "+
			"/etc/rookery/rookery.toml %s\n", plainly(*valid), i.Token, strings.Join(i.Addresses, " "))
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
