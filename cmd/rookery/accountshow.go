package main

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

const accountShowLong = `Shows one account: the addresses and the login that its directory entry has or was
last seen with, what it uses of its quota, its last sign-in (to the hour), its
group, and the directory entry, by its distinguished name and by the id under which
the account stays the same when the entry is renamed or moved. Also for an entry
that is gone: what it was last called is kept until the account is erased.`

func accountShowVerb(a *cli.Asking) *cobra.Command {
	return &cobra.Command{
		Use: "show ADDRESS", Short: "show one account", Args: cobra.ExactArgs(1), Long: accountShowLong,
		Example:     "  rookery account show alice@example.com\n  rookery account show alice@example.com -json | jq -r .dn",
		Annotations: cli.Exits("3 there is no such account", "4 more than one account had the address: name one by its id"),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := a.Admin().Account(c.Context(), args[0])
			if err != nil {
				return err
			}
			if a.JSON {
				return a.Print(d)
			}
			return accountShow(a, &d)
		},
	}
}

func accountShow(a *cli.Asking, d *adminapi.AccountDetails) error {
	w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	row := func(what, is string) { fmt.Fprintf(w, "%s\t%s\n", what, is) }
	row("address", cmp.Or(d.Address, "none known"))
	if len(d.Addresses) > 1 {
		row("also", strings.Join(d.Addresses[1:], ", "))
	}
	row("login", cmp.Or(d.Login, "none known"))
	row("account", d.Account)
	row("group", fmt.Sprint(d.Group))
	row("used", fmt.Sprintf("%s in %s messages", sayUsed(d.Bytes), sayMessages(d.Messages)))
	row("quota", sayQuota(d.Quota))
	row("last sign-in", saySignIn(d.SignIn))
	row("directory entry", cmp.Or(d.DN, "no name known"))
	row("", sayState(d))
	row("entry's id", d.Entry)
	return w.Flush()
}

// sayState says what the directory has of an account's entry.
func sayState(d *adminapi.AccountDetails) string {
	switch d.State {
	case "present":
		return "in the directory"
	case "disabled":
		return "disabled in the directory: mail is received, nobody signs in"
	case "gone":
		return "not in the directory any more: the names are the last known; see rookery help account link"
	}
	return "as last seen; the directory cannot say: " + d.Trouble
}

func sayMessages(n *uint64) string {
	if n == nil {
		return "?"
	}
	return fmt.Sprint(*n)
}

func sayUsed(n *int64) string {
	if n == nil {
		return "?"
	}
	return sayBytes(*n)
}

func sayQuota(n *int64) string {
	switch {
	case n == nil:
		return "?"
	case *n == 0:
		return "none"
	}
	return sayBytes(*n)
}

func saySignIn(s *adminapi.SignIn) string {
	if s == nil {
		return "-"
	}
	return cli.Stamp(s.Time) + " " + s.Protocol
}

// sayBytes is a size as people read it.
func sayBytes(n int64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	x, unit := float64(n)/(1<<10), 0
	for x >= 1<<10 && unit < len(units)-1 {
		x, unit = x/(1<<10), unit+1
	}
	return fmt.Sprintf("%.1f %ciB", x, units[unit])
}
