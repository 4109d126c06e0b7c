// Package directory has the verbs of rookery directory: how the cluster's copies of its
// directories stand, and what becomes of changes that wait there, asked of a node. It
// reads no directory itself.
package directory

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

const long = `The cluster keeps a copy of what its directories say about mail, so that mail for known
people is taken while a directory is away. One node follows each directory. A change by
which more than 10 entries, and more than a tenth, would vanish, lose attributes or change
addresses within an hour waits for an operator; who is disabled is so at once.`

// Verb is rookery directory.
func Verb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "directory", Short: "see how the copies of directories stand, and settle changes that wait", Long: long,
		Example: "  rookery directory status\n  rookery directory approve main -number 4711",
	}
	a := s.Ask(v.PersistentFlags())
	return cli.Family(v, statusVerb(a), settleVerb(a, true), settleVerb(a, false))
}

func statusVerb(a *cli.Asking) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "show how old each copy is, and what waits for approval", Args: cobra.ExactArgs(0),
		Long: "Shows of each directory of the settings which node follows it, of when its copy is, when everything was\nlast read, " +
			"addresses and logins that more than one entry has, and the first 100 changes that wait. With --json it\nis an array, also " +
			"where there are none.",
		Example:     "  rookery directory status",
		Annotations: cli.Exits("5 the node does not answer"),
		RunE: func(c *cobra.Command, _ []string) error {
			all, err := a.Admin().Directories(c.Context())
			switch {
			case err != nil:
				return err
			case a.JSON:
				return a.Print(all)
			case len(all) == 0:
				_, err := fmt.Fprintln(a.Out, "The settings name no directory.")
				return err
			}
			for i, d := range all {
				if i > 0 {
					fmt.Fprintln(a.Out)
				}
				if err := show(a.Out, d); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func show(out io.Writer, d adminapi.DirectoryCopy) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("directory", "%s (id %s)", d.Name, d.ID)
	if !d.Followed {
		row("copy", "none: it is asked for each name")
		return w.Flush()
	}
	row("followed by", "%s", cli.Dash(d.By))
	if d.Problem != "" {
		row("problem", "%s", cli.Printable(d.Problem, 300))
	}
	if d.AsOf == nil {
		row("copy", "not complete yet")
	} else {
		row("copy", "as of %s, %v ago", cli.Stamp(*d.AsOf), time.Duration(d.Lag)*time.Second)
	}
	full := "never"
	if d.FullRead != nil {
		full = cli.Stamp(*d.FullRead)
	}
	if d.Reading {
		full += "; it is being read now"
	}
	row("last full read", "%s", full)
	row("entries", "%d, and %d that have vanished", d.Entries, d.Vanished)
	if d.ConflictCount > 0 {
		row("conflicts", "%d: %s", d.ConflictCount, cli.Printable(strings.Join(d.Conflicts, " "), 1000))
	}
	p := d.Pending
	if p == nil {
		row("waiting changes", "none")
		return w.Flush()
	}
	row("waiting changes", "%d since %s, number %d", p.Count, cli.Stamp(p.Since), p.Number)
	for _, x := range p.Changes {
		what := x.What
		if len(x.Lost) > 0 {
			what += ": without " + strings.Join(x.Lost, ", ")
		}
		if len(x.Gained) > 0 {
			what += "; with " + strings.Join(x.Gained, ", ")
		}
		row("", "%s %s", cli.Printable(x.Entry, 200), cli.Printable(what, 300))
	}
	if more := int(p.Count) - len(p.Changes); more > 0 {
		row("", "and %d more", more)
	}
	return w.Flush()
}

func settleVerb(a *cli.Asking, approve bool) *cobra.Command {
	v := &cobra.Command{Args: cobra.ExactArgs(1)}
	if approve {
		v.Use, v.Short = "approve NAME", "make the changes that wait"
		v.Long = "Makes the changes of a directory that wait. Entries that vanish still receive mail for the days that\n" +
			"limits.vanished_days says; no account is deleted."
		v.Example = "  rookery directory approve main -number 4711"
	} else {
		v.Use, v.Short = "reject NAME", "forget the changes that wait, and read the directory anew"
		v.Long = "Forgets the changes of a directory that wait, once the directory or the settings are mended, and has everything\n" +
			"read anew. What is still different then waits again."
		v.Example = "  rookery directory reject main -number 4711"
	}
	v.Annotations = cli.Exits("3 the settings have no such directory, or nothing of it waits", "4 other changes wait by now; look again",
		"5 the cluster does not answer")
	number := v.Flags().Uint64("number", 0, "the number that rookery directory status shows: what is settled is what was shown")
	v.RunE = func(c *cobra.Command, args []string) error {
		if *number == 0 {
			return cli.Usagef("%s needs -number N, as rookery directory status shows it", v.Name())
		}
		done, err := a.Admin().SettleDirectory(c.Context(), args[0], approve, *number)
		switch {
		case err != nil:
			return err
		case a.JSON:
			return a.Print(done)
		case approve:
			_, err = fmt.Fprintf(a.Out, "%d changes of directory %s are made.\n", done.Changes, done.Directory)
		default:
			_, err = fmt.Fprintf(a.Out, "%d changes of directory %s are forgotten; it is read anew.\n", done.Changes, done.Directory)
		}
		return err
	}
	return v
}
