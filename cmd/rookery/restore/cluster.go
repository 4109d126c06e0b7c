package restore

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rookery/cmd/node/datadir"
	"rookery/cmd/node/fromarchive"
	"rookery/cmd/rookery/cli"
	"rookery/cmd/rookery/machine"
)

const clusterLong = `Makes an empty machine the first node of a cluster whose nodes are all gone, from three
things: the backup store, the recovery kit, and the object store that holds the messages.
Every group goes back to one moment, at most seconds before the end. Mailboxes keep their
UIDVALIDITY and UIDs, and go on with numbers that nobody has seen, so that mail clients
download nothing again. What was owed to other systems is held: look at rookery queue list,
and release it. Every node of before is removed for ever; invitations are void.

The archive is named by a directory, or by a file with the keys of [backup] (kind, endpoint,
bucket, region, access_key, secret_key, ca_file).

Afterwards start the node, and add others with rookery token and rookery join.`

func clusterVerb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "cluster", Short: "bring back the whole cluster on an empty machine", Args: cobra.ExactArgs(0), Long: clusterLong,
		Example: "  rookery restore cluster -config /etc/rookery/node.toml -kit /media/safe/rookery-kit.json -from /etc/rookery/backup.toml",
		Annotations: cli.Exits("2 wrong call, another cluster's kit, or a configuration that cannot be used",
			"3 the archive cannot bring back that time, or the messages are not there", "4 the data directory is a node's",
			"5 a store does not answer", "6 what is in the archive is not what was written there"),
	}
	c := clusterCall{Shell: s}
	f := v.Flags()
	f.StringVar(&c.config, "config", "/etc/rookery/node.toml", "node file of this machine")
	f.StringVar(&c.kit, "kit", "", "the recovery kit")
	f.StringVar(&c.from, "from", "", "the backup store: a directory, or a TOML file with the keys of [backup]")
	f.StringVar(&c.at, "at", "", "go back further: a time like 2026-11-30T10:00:00Z, or a span before now like -2h")
	f.UintVar(&c.margin, "margin", 1_000_000,
		"how far UIDNEXT jumps in every mailbox: more than can have been given after the last checkpoint")
	f.BoolVar(&c.yes, "yes", false, "do not ask")
	f.BoolVar(&c.json, "json", false, "print JSON")
	v.RunE = func(v *cobra.Command, _ []string) error { return c.run(v.Context()) }
	return v
}

type clusterCall struct {
	*cli.Shell
	config, kit, from, at string
	margin                uint
	yes, json             bool
}

func (c *clusterCall) run(ctx context.Context) error {
	switch {
	case c.kit == "":
		return cli.Usagef("needs -kit FILE, the recovery kit")
	case c.from == "":
		return cli.Usagef("needs -from, the directory of the backup or a file with the keys of [backup]")
	case c.margin < 1000 || c.margin > 100_000_000:
		return cli.Usagef("needs a -margin of 1000 to 100000000")
	case c.json && !c.yes:
		return cli.Usagef("with --json nothing is asked: add -yes")
	}
	o := fromarchive.Options{Margin: uint32(c.margin), Now: time.Now}
	var err error
	if c.at != "" {
		if o.At, err = cli.ParseTime("at", c.at, time.Now()); err != nil {
			return err
		}
	}
	if o.Config, err = machine.LoadNodeFile(c.config); err != nil {
		return err
	}
	if o.Kit, err = datadir.ReadKit(c.kit); err != nil {
		return err
	}
	if o.Backup, err = machine.BackupStore(c.from); err != nil {
		return err
	}
	if o.Logger, err = c.Logger("warn"); err != nil {
		return err
	}
	what := fmt.Sprintf("Cluster %s begins anew on this machine, in %s. Its nodes of before must be off for ever:\none that still runs "+
		"would write into the same object store.", o.Kit.Cluster, o.Config.DataDir)
	if err := cli.Confirm(ctx, c.yes, what, "the old nodes are off"); err != nil {
		return err
	}
	out := io.Writer(c.Out)
	if c.json {
		out = io.Discard
	}
	bar := cli.NewProgress(out)
	o.Progress = bar.Show
	r, err := fromarchive.Run(ctx, o)
	bar.Clear()
	if err != nil {
		return err
	}
	if c.json {
		return c.Print(r)
	}
	return c.tell(&r)
}

func (c *clusterCall) tell(r *fromarchive.Restored) error {
	fmt.Fprintf(c.Out, "Cluster %s is back as of %s, in generation %s.\n\n", r.Cluster, r.At.Format(time.RFC3339), r.Generation)
	t := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "GROUP\tLAST CHANGE\tREPLAYED\tLOST BODIES")
	for _, g := range r.Groups {
		fmt.Fprintf(t, "%d\t%s\t%d\t%d\n", g.Group, cli.Stamp(g.Until), g.Entries, g.Lost)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(c.Out, "\nNext: rookery serve; then rookery token here and rookery join on each further machine.\n"+
		"What was owed to other systems is held: rookery queue list, and rookery queue release.\n")
	return err
}
