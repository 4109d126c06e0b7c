package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/datadir"
	"rookery/cmd/node/fromarchive"
	"rookery/cmd/rookery/cli"
	"rookery/cmd/rookery/machine"
)

func keyRestoreVerb(k keyCall) *cobra.Command {
	v := &cobra.Command{
		Use: "restore FILE", Short: "put lost key files back from a recovery kit", Args: cobra.ExactArgs(1),
		Long: `Puts the files below keys and identity that the directory of a stopped node lacks
back from a recovery kit; what is there stays.`,
		Example: "  rookery key restore /media/safe/rookery-kit.json -data /var/lib/rookery",
		Annotations: cli.Exits("2 wrong call, a kit of another cluster, or no kit", "3 the directory has no node.json",
			"4 nothing is missing, the node runs, or the kit lacks a tenant key in use (-partial goes on)"),
	}
	partial := v.Flags().Bool("partial", false, "restore also from a kit that lacks a tenant key in use")
	from := v.Flags().String("from", "", "the backup store, for a kit without keys: a directory, or a TOML file with the keys of [backup]")
	config := v.Flags().String("config", "", "path of the node file, where its keys.command sealed the kit's keyring")
	v.RunE = func(v *cobra.Command, args []string) error {
		return k.restore(v.Context(), args[0], *config, *from, *partial)
	}
	return v
}

// restore takes from a recovery kit what a stopped node's directory lacks.
func (k keyCall) restore(ctx context.Context, path, config, from string, partial bool) error {
	if k.Data == "" {
		return cli.Usagef("restore needs -data DIR, of a stopped node")
	}
	kit, err := datadir.ReadKit(path)
	if err != nil {
		return err
	}
	logger, err := k.Logger("warn")
	if err != nil {
		return err
	}
	if from != "" {
		backup, err := machine.BackupStore(from)
		if err != nil {
			return err
		}
		if err := fromarchive.OpenKit(ctx, &kit, backup, logger); err != nil {
			return err
		}
	}
	var command []string
	if config != "" {
		cfg, err := machine.LoadNodeFile(config)
		if err != nil {
			return err
		}
		command = cfg.Keys.Command
	}
	r, err := datadir.Dir(k.Data).RestoreKeys(ctx, kit, command, partial, logger, time.Now())
	if err != nil {
		return err
	}
	if k.JSON {
		return k.Print(r)
	}
	for _, name := range r.Kept {
		fmt.Fprintf(k.Out, "%s is there and stays as it is\n", name)
	}
	for _, name := range r.Written {
		fmt.Fprintf(k.Out, "%s is restored from the kit of %s\n", name, kit.Made.Format(time.RFC3339))
	}
	if len(r.Missing) > 0 {
		fmt.Fprintf(k.Out, "tenant keys %s are in use and not in the kit: what is under them cannot be read before a later kit or "+
			"another node gives them\n", strings.Trim(fmt.Sprint(r.Missing), "[]"))
	}
	if r.Sealed {
		fmt.Fprint(k.Out, "the keyring is sealed: it opens with the keys.command it was sealed by\n")
	}
	if len(r.Written) == 0 {
		return rookery.E("restore keys", rookery.KindExists,
			fmt.Errorf("nothing is missing in %s; a damaged file has to be moved away first", k.Data))
	}
	_, err = fmt.Fprintf(k.Out, "Next: start the node; with the majority lost, rookery recover first\n")
	return err
}
