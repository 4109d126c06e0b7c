package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

const caLong = `Shows and changes the cluster's certificate authority, by which nodes know each
other: it issues the certificate that each shows to the others. Certificates for
mail clients are not its own; they stand in the node file.`

func caVerb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "ca", Short: "show and change the certificate authority of the nodes", Long: caLong,
		Example: "  rookery ca rotate -data /var/lib/rookery",
	}
	a := s.Ask(v.PersistentFlags())
	return cli.Family(v, caStatusVerb(a), caRotateVerb(a))
}

func caStatusVerb(a *cli.Asking) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "show which authority is in use, and how far a change is", Args: cobra.ExactArgs(0),
		Example: "  rookery ca status", Annotations: cli.Exits(),
		RunE: func(c *cobra.Command, _ []string) error {
			st, err := a.Admin().Authority(c.Context())
			if err != nil {
				return err
			}
			if a.JSON {
				return a.Print(st)
			}
			_, err = fmt.Fprintln(a.Out, sayAuthority(st))
			return err
		},
	}
}

func caRotateVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "rotate", Short: "have a new authority issue the nodes' certificates", Args: cobra.ExactArgs(0),
		Long: `Makes a new authority. Every node trusts it besides the old one first, then takes
a certificate by it, and then the old one is dropped: from then on nothing that
the old key signs is believed. Nothing is interrupted. It is the cluster's own
work: the command only watches, and calling it again says how far it is.

A node that is away holds it up until it is back or removed; it is refused then
unless -force. Join tokens from before name the old authority: make new ones.`,
		Example:     "  rookery ca rotate -data /var/lib/rookery",
		Annotations: cli.Exits("5 a node is away and nothing has begun, or the time is over first and it goes on"),
	}
	force := v.Flags().Bool("force", false, "begin though a node is away")
	noWait := v.Flags().Bool("no-wait", false, "do not wait until the old authority is dropped")
	timeout := v.Flags().Duration("timeout", 10*time.Minute, "how long to wait")
	v.RunE = func(c *cobra.Command, _ []string) error {
		if *timeout <= 0 {
			return cli.Usagef("-timeout %v: it must be above zero; -no-wait does not wait", *timeout)
		}
		st, err := a.Admin().Patient(keyPatience).RotateAuthority(c.Context(), *force)
		if err == nil && !*noWait {
			waiting, cancel := context.WithTimeout(c.Context(), *timeout)
			defer cancel()
			st, err = awaitAuthority(waiting, a.Admin(), a.Progress())
		}
		if err != nil {
			return err
		}
		if a.JSON {
			return a.Print(st)
		}
		_, err = fmt.Fprintf(a.Out, "%s\nNext: rookery key kit FILE; earlier recovery kits lack this key. Join tokens from before are void\n",
			sayAuthority(st))
		return err
	}
	return v
}

func sayAuthority(st adminapi.AuthorityStatus) string {
	switch {
	case st.Stage == "":
		return fmt.Sprintf("authority %d is in use, and no other is trusted", st.Version)
	case len(st.Waits) == 0:
		return fmt.Sprintf("authority %d is in use; change to %d: every node did its part (%s)", st.Version, st.Next, st.Stage)
	}
	return fmt.Sprintf("authority %d is in use; change to %d: %s has to %s", st.Version, st.Next, strings.Join(st.Waits, ", "), st.Stage)
}

// awaitAuthority waits until one authority is trusted, and tells each change.
func awaitAuthority(ctx context.Context, c *adminapi.Client, progress io.Writer) (st adminapi.AuthorityStatus, err error) {
	told := ""
	for {
		now, err := c.Authority(ctx)
		if err == nil {
			st = now
			if st.Stage == "" {
				return st, nil
			}
			if text := sayAuthority(st); text != told {
				told = text
				fmt.Fprintln(progress, text)
			}
		}
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return st, rookery.E("change cluster CA", rookery.KindUnavailable, fmt.Errorf("not done yet: %s; it goes on, see rookery ca status",
				sayAuthority(st)))
		}
	}
}
