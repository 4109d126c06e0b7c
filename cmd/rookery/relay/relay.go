// Package relay has the verbs of rookery relay: the credentials with which
// applications and devices send through the relay listener, made, listed and taken
// away by asking a node. It keeps no secret and sends no mail.
package relay

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

const long = `A relay credential lets one application or device send through the listeners of the
kind relay, from wherever it is, with the senders that it was given and no others.
Networks and client certificates that may relay are settings: relay.networks and
relay.certificates.`

// Verb is rookery relay.
func Verb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "relay", Short: "let applications and devices send mail", Long: long,
		Example: "  rookery relay add scanner -from scanner@example.com -rate 100/hour\n  rookery relay list",
	}
	a := s.Ask(v.PersistentFlags())
	return cli.Family(v, addVerb(a), listVerb(a), removeVerb(a))
}

func addVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "add NAME", Short: "make a credential and show its secret, once", Args: cobra.ExactArgs(1),
		Long: "Makes a credential with which a client signs in (AUTH PLAIN or LOGIN, under TLS) as NAME. The\nsecret is shown now and " +
			"never again. The rate counts recipients, on each node by itself.",
		Example:     "  rookery relay add shop -from orders@example.com -from @shop.example.com -rate 500/hour",
		Annotations: cli.Exits("4 the name is taken", "5 the cluster does not answer"),
	}
	var o adminapi.RelayOrder
	v.Flags().StringArrayVar(&o.Senders, "from", nil, "a sender that it may use: ADDRESS, @DOMAIN, or <> for the null sender; may be repeated")
	rate := v.Flags().String("rate", "0", "the most recipients in an hour, like 100/hour; 0 is no bound")
	v.RunE = func(c *cobra.Command, args []string) (err error) {
		if o.Rate, err = parseRate(*rate); err != nil {
			return err
		}
		if len(o.Senders) == 0 {
			return cli.Usagef("add needs -from ADDRESS or -from @DOMAIN: what the client may send as")
		}
		x, err := a.Admin().AddRelay(c.Context(), args[0], o)
		switch {
		case err != nil:
			return err
		case a.JSON:
			return a.Print(x)
		}
		_, err = fmt.Fprintf(a.Out, "user:     %s\npassword: %s\n\nThe password is not shown again.\n", x.Name, x.Secret)
		return err
	}
	return v
}

// parseRate reads "100/hour" or "100".
func parseRate(s string) (uint32, error) {
	n, err := strconv.ParseUint(strings.TrimSuffix(s, "/hour"), 10, 32)
	if err != nil || n > math.MaxInt32 {
		return 0, cli.Usagef("-rate %s: write it like 100/hour", s)
	}
	return uint32(n), nil
}

func listVerb(a *cli.Asking) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list credentials, without their secrets", Args: cobra.ExactArgs(0),
		Long:        "Lists credentials by name. With --json it is an array, also where there are none.",
		Example:     "  rookery relay list",
		Annotations: cli.Exits("5 the cluster does not answer"),
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := a.Admin().RelayCredentials(c.Context())
			switch {
			case err != nil:
				return err
			case a.JSON:
				return a.Print(all)
			case len(all) == 0:
				_, err := fmt.Fprintln(a.Out, "There are no relay credentials.")
				return err
			}
			w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tRATE\tMADE\tSENDERS")
			for _, x := range all {
				rate := "-"
				if x.Rate > 0 {
					rate = fmt.Sprintf("%d/hour", x.Rate)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", x.Name, rate, cli.Stamp(x.Made), cli.Printable(strings.Join(x.Senders, " "), 100))
			}
			return w.Flush()
		},
	}
}

func removeVerb(a *cli.Asking) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "take a credential away, at once", Args: cobra.ExactArgs(1),
		Long:        "Takes a credential away: a client that is connected with it sends no further message.",
		Example:     "  rookery relay remove scanner",
		Annotations: cli.Exits("3 there is no such credential", "5 the cluster does not answer"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.Admin().RemoveRelay(c.Context(), args[0]); err != nil {
				return err
			}
			if a.JSON {
				return a.Print(struct {
					Removed string `json:"removed"`
				}{args[0]})
			}
			_, err := fmt.Fprintf(a.Out, "%s may not relay any more.\n", args[0])
			return err
		},
	}
}
