package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
	"rookery/internal/plural"
)

const sessionLong = `Sessions are those of clients that have signed in, on all nodes: IMAP and POP3 on
the node that serves the account, submission on the node the client is connected
to. The id of a session is the one in the log.

Sessions of accounts that the directory has disabled, or has no more, end by
themselves within a minute; never because the directory does not answer.`

func sessionVerb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "session", Short: "list and end the sessions of clients", Long: sessionLong,
		Example: "  rookery session list -account alice@example.com\n  rookery session end -account alice@example.com",
	}
	a := s.Ask(v.PersistentFlags())
	return cli.Family(v, sessionListVerb(a), sessionEndVerb(a))
}

// sessionFlags adds the flags that pick sessions.
func sessionFlags(c *cobra.Command) *adminapi.SessionFilter {
	f := &adminapi.SessionFilter{}
	c.Flags().StringVar(&f.Account, "account", "", "only those of an account: an address or its id")
	c.Flags().StringVar(&f.Node, "on", "", "only those on a node: its name or id")
	c.Flags().StringVar(&f.Protocol, "protocol", "", "only those of a protocol: imap, pop3 or smtp")
	c.Flags().StringVar(&f.ID, "id", "", "only the one with this id")
	return f
}

// protocols have sessions.
var protocols = []string{"imap", "pop3", "smtp"}

func checkSessions(f *adminapi.SessionFilter) error {
	if f.Protocol != "" && !slices.Contains(protocols, f.Protocol) {
		return cli.Usagef("-protocol %s: use %s", f.Protocol, strings.Join(protocols, ", "))
	}
	return nil
}

func sessionListVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "list", Short: "list the sessions on all nodes", Args: cobra.ExactArgs(0),
		Long: "Lists the sessions of clients that have signed in, on all nodes or as the flags pick\nthem. Up to 5000 are " +
			"listed of each node.",
		Example:     "  rookery session list -protocol imap -on node2",
		Annotations: cli.Exits("3 there is no such account or node", "5 a node did not answer, or the node asked does not"),
	}
	f := sessionFlags(v)
	v.RunE = func(c *cobra.Command, _ []string) error {
		if err := checkSessions(f); err != nil {
			return err
		}
		l, err := a.Admin().Sessions(c.Context(), *f)
		if err != nil {
			return err
		}
		if a.JSON {
			err = a.Print(l)
		} else {
			err = printSessions(a, &l)
		}
		if err == nil {
			err = unasked(l.Unasked)
		}
		return err
	}
	return v
}

func printSessions(a *cli.Asking, l *adminapi.SessionList) error {
	w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LOGIN\tPROTOCOL\tNODE\tCLIENT\tSINCE\tID\tACCOUNT")
	for _, s := range l.Sessions {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cli.Dash(s.Login), s.Protocol, s.Node, s.Client, cli.Stamp(s.Since), s.ID,
			cli.Dash(s.Account))
	}
	if l.More > 0 {
		fmt.Fprintf(w, "and %d more: pick some with -account, -on or -protocol\n", l.More)
	}
	return w.Flush()
}

// unasked is the error of an answer without some nodes.
func unasked(nodes []string) error {
	if len(nodes) == 0 {
		return nil
	}
	return rookery.E("ask all nodes", rookery.KindUnavailable,
		fmt.Errorf("no answer from %s: its sessions are not known here", strings.Join(nodes, ", ")))
}

func sessionEndVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "end", Short: "end sessions on all nodes", Args: cobra.ExactArgs(0),
		Long: "Ends the sessions that the flags pick, on all nodes: each after the command that\nruns, and after 10 seconds at the " +
			"latest. Who may sign in can do so again at once:\n" +
			"disable the account in the directory first.",
		Example:     "  rookery session end -account alice@example.com\n  rookery session end -id k3j5m2p7q4r6s",
		Annotations: cli.Exits("3 there is no such account or node", "5 a node did not answer, or the node asked does not"),
	}
	f := sessionFlags(v)
	v.RunE = func(c *cobra.Command, _ []string) error {
		if *f == (adminapi.SessionFilter{}) {
			return cli.Usagef("end needs one of -account, -on, -protocol, -id")
		}
		if err := checkSessions(f); err != nil {
			return err
		}
		l, err := a.Admin().EndSessions(c.Context(), *f)
		if err != nil {
			return err
		}
		if a.JSON {
			err = a.Print(l)
		} else {
			_, err = fmt.Fprintf(a.Out, "%s ended\n", plural.Of(l.Ended, "session"))
		}
		if err == nil {
			err = unasked(l.Unasked)
		}
		return err
	}
	return v
}
