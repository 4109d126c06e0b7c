package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rookery"
)

// Family declares a verb that does nothing itself but has others below it.
func Family(c *cobra.Command, of ...*cobra.Command) *cobra.Command {
	c.AddCommand(of...)
	c.Annotations = Exits()
	c.Args = NoSuchVerb
	c.RunE = func(c *cobra.Command, _ []string) error {
		var names []string
		for _, sub := range c.Commands() {
			names = append(names, sub.Name())
		}
		return Usagef("needs one of: %s", strings.Join(names, ", "))
	}
	return c
}

// NoSuchVerb refuses arguments of a verb that has others below it, and names
// those that look alike.
func NoSuchVerb(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%q is unknown%s", args[0], Alike(c, args[0], ""))
}

// Alike names what looks like a name that is unknown, for an error.
func Alike(c *cobra.Command, name, dash string) string {
	c.SuggestionsMinimumDistance = 2
	found := c.SuggestionsFor(name)
	if len(found) == 0 {
		return ""
	}
	return "; did you mean " + dash + strings.Join(found, " or "+dash) + "?"
}

// Confirm has the operator type a word at the terminal, unless told not to.
func Confirm(ctx context.Context, yes bool, what, word string) error {
	if yes {
		return nil
	}
	t, ok := OpenTerminal()
	if !ok {
		return Usagef("asks before it does this, and there is no terminal: add -yes")
	}
	defer t.Close()
	t.Say("%s", what)
	said, err := t.Ask(ctx, fmt.Sprintf("Type %q to go on", word), "")
	if err != nil {
		return err
	}
	if said != word {
		return rookery.E("confirm", rookery.KindDenied, fmt.Errorf("%q is not %q: nothing was done", said, word))
	}
	return nil
}
