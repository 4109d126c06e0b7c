package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"rookery/cmd/rookery/cli"
)

const accountLinkLong = `Binds the entry that a directory has for an address (or a login) to an account that
another entry had: a user who was deleted and made anew, or a directory that was
replaced by another. Until then mail to the address is answered 4xx and the user
cannot sign in, for an account is never made for an address that another account's
owner was last seen with, nor handed over by itself.

-to names the account: by its id, as rookery account list gives it, or by an address
that its owner was last seen with. Without it the account is meant whose owner was
last seen with ADDRESS.

It is refused where the entry has an account with mail. One that is empty goes to
the account's former entry. A session that is signed in stays where it is until it
ends.`

func accountLinkVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "link ADDRESS", Short: "give an account to another directory entry", Args: cobra.ExactArgs(1), Long: accountLinkLong,
		Example: "  rookery account link alice@example.com\n" +
			"  rookery account link alice.smith@example.com -to alice@example.com",
		Annotations: cli.Exits("3 there is no such entry or account",
			"4 the entry has an account with mail, or more than one account had the address"),
	}
	to := v.Flags().String("to", "", "the account: its id, or an address of its last owner")
	v.RunE = func(c *cobra.Command, args []string) error {
		l, err := a.Admin().LinkAccount(c.Context(), args[0], *to)
		if err != nil {
			return err
		}
		if a.JSON {
			return a.Print(l)
		}
		_, err = fmt.Fprintf(a.Out, "%s has account %s, which was of entry %s\n", args[0], l.Account, l.Former)
		if err == nil && l.Left != "" {
			_, err = fmt.Fprintf(a.Out, "the empty account %s went to that entry\n", l.Left)
		}
		return err
	}
	return v
}
