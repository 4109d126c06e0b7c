package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/datadir"
	"rookery/cmd/rookery/cli"
	"rookery/internal/plural"
)

const keyLong = `Shows and changes the keys that open mail. Every message has a key of its own,
wrapped by its account's key, which a version of the tenant key wraps; the tenant
key lies on the nodes alone, in a file or sealed by keys.command.`

func keyVerb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "key", Short: "show, rotate and destroy encryption keys", Long: keyLong,
		Example: "  rookery key rotate -data /var/lib/rookery && rookery key status -data /var/lib/rookery",
	}
	k := keyCall{s.Ask(v.PersistentFlags())}
	return cli.Family(v, k.statusVerb(), k.rotateVerb(), k.destroyVerb(), k.kitVerb(), keyRestoreVerb(k))
}

func (k keyCall) statusVerb() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "show versions, who holds them, erasures under way, and what is wrong", Args: cobra.ExactArgs(0),
		Example: "  rookery key status", Annotations: cli.Exits("1 something is wrong"),
		RunE: func(c *cobra.Command, _ []string) error { return k.status(c.Context()) },
	}
}

func (k keyCall) rotateVerb() *cobra.Command {
	v := &cobra.Command{
		Use: "rotate", Short: "bring a new tenant key into use", Args: cobra.ExactArgs(0),
		Long: "Brings a new tenant key into use: on every node first, then used. All account keys\nare rewrapped under it; no body " +
			"is rewritten.",
		Example: "  rookery key rotate -data /var/lib/rookery", Annotations: cli.Exits(),
	}
	v.RunE = func(c *cobra.Command, _ []string) error { return k.rotate(c.Context()) }
	return v
}

func (k keyCall) destroyVerb() *cobra.Command {
	v := &cobra.Command{
		Use: "destroy [VERSION]", Short: "destroy an old tenant key, or all old ones, on every node", Args: cobra.MaximumNArgs(1),
		Example:     "  rookery key destroy 1 -yes",
		Annotations: cli.Exits("4 an account is still wrapped under it", "5 a node does not answer"),
	}
	yes := v.Flags().Bool("yes", false, "destroy without asking")
	v.RunE = func(c *cobra.Command, args []string) error { return k.destroy(c.Context(), args, *yes) }
	return v
}

func (k keyCall) kitVerb() *cobra.Command {
	v := &cobra.Command{
		Use: "kit FILE", Short: "write a new recovery kit, to keep off the cluster", Args: cobra.ExactArgs(1),
		Long: `Writes a new recovery kit, to keep off the cluster. Earlier kits open nothing that comes
later. Where the cluster has a backup, the kit has the private half of a key: the keys of
the cluster lie in the backup store, sealed to it, always those in use. Without a backup,
or of a node that is stopped, it has the keys themselves: it opens mail alone, and lacks
what a later rotation makes.`,
		Example: "  rookery key kit /media/safe/rookery-kit.json -data /var/lib/rookery", Annotations: cli.Exits("4 the file exists"),
	}
	with := v.Flags().Bool("with-keys", false, "put the keys of the cluster into the kit, also where there is a backup")
	v.RunE = func(c *cobra.Command, args []string) error { return k.kit(c.Context(), args[0], *with) }
	return v
}

// keyPatience is how long an order about keys may take: nodes may have to run
// a command each and write their files.
const keyPatience = 3 * time.Minute

type keyCall struct{ *cli.Asking }

func (k keyCall) status(ctx context.Context) error {
	st, err := k.Admin().Patient(keyPatience).Keys(ctx)
	if err != nil {
		return err
	}
	if k.JSON {
		err = k.Print(st)
	} else {
		err = k.table(st)
	}
	if err == nil && len(st.Problems) > 0 {
		err = rookery.E("key status", rookery.KindDenied, errors.New(plural.Of(len(st.Problems), "problem")))
	}
	return err
}

func (k keyCall) table(st adminapi.KeyStatus) error {
	w := tabwriter.NewWriter(k.Out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "TENANT KEY\tSTATE\tSINCE\tACCOUNTS\tDAYS\tFINGERPRINT\n")
	for _, v := range st.Versions {
		since := "the beginning"
		switch {
		case v.Destroyed != nil:
			since = v.Destroyed.Format(time.RFC3339)
		case v.Since != nil:
			since = v.Since.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%d\t%s\n", v.Version, v.State, since, v.Accounts, v.Days, cli.Dash(v.Fingerprint))
	}
	fmt.Fprint(w, "\nNODE\tSOURCE\tUSES\tHOLDS\tSEALS FILES UNDER\n")
	for _, n := range st.Nodes {
		held := make([]string, len(n.Held))
		for i, v := range n.Held {
			held[i] = strconv.FormatUint(uint64(v), 10)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", n.Name, cli.Dash(n.Source), n.InUse, cli.Dash(strings.Join(held, ", ")), sealedUnder(n))
	}
	if len(st.Erasures) > 0 {
		fmt.Fprintf(w, "\n%s %s being erased: %s\n", plural.Of(len(st.Erasures), "account"),
			plural.Verb(len(st.Erasures), "is", "are"), st.Progress)
	}
	for _, p := range st.Problems {
		fmt.Fprintf(w, "\nwrong: %s", p)
	}
	if len(st.Problems) > 0 {
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// sealedUnder is what a node's CA and settings key are sealed under.
func sealedUnder(n adminapi.KeyNode) string {
	switch {
	case n.Error != "":
		return "-"
	case n.Sealed == 0:
		return "nothing"
	}
	return strconv.FormatUint(uint64(n.Sealed), 10)
}

func (k keyCall) rotate(ctx context.Context) error {
	r, err := k.Admin().Patient(keyPatience).RotateKey(ctx)
	if err != nil {
		return err
	}
	if k.JSON {
		return k.Print(r)
	}
	fmt.Fprintf(k.Out, "tenant key %d is in use; account keys are rewrapped under it, see rookery key status\n", r.Version)
	if len(r.Without) > 0 {
		fmt.Fprintf(k.Out, "these nodes are down and fetch it when they are back: %s\n", strings.Join(r.Without, ", "))
	}
	_, err = fmt.Fprint(k.Out, "Next: rookery key kit FILE; earlier recovery kits lack this key\n")
	return err
}

func (k keyCall) destroy(ctx context.Context, rest []string, yes bool) error {
	var versions []uint32
	what := "all tenant keys but the one in use"
	if len(rest) == 1 {
		v, err := strconv.ParseUint(rest[0], 10, 32)
		if err != nil || v == 0 {
			return cli.Usagef("%q is no version; see rookery key status", rest[0])
		}
		versions = append(versions, uint32(v))
		what = fmt.Sprintf("tenant key %d", v)
	}
	if err := cli.Confirm(ctx, yes, fmt.Sprintf("This destroys %s on every node, for ever. Backups and recovery kits from before open "+
		"nothing any more that only it wraps.", what), "destroy"); err != nil {
		return err
	}
	destroyed, err := k.Admin().Patient(keyPatience).DestroyKeys(ctx, versions...)
	if err != nil {
		return err
	}
	if k.JSON {
		return k.Print(map[string]any{"destroyed": destroyed})
	}
	if len(destroyed) == 0 {
		_, err = fmt.Fprint(k.Out, "there is no old tenant key\n")
		return err
	}
	_, err = fmt.Fprintf(k.Out, "destroyed: %v\nNext: destroy the recovery kits and copies of key files from before; they still "+
		"hold it\n", destroyed)
	return err
}

func (k keyCall) kit(ctx context.Context, path string, withKeys bool) error {
	if cli.Exists(path) {
		return rookery.E("write recovery kit", rookery.KindExists, fmt.Errorf("%s exists; name another file", path))
	}
	st, err := k.Admin().BackupStatus(ctx)
	withKeys = withKeys || err != nil || !st.On // a node that is stopped cannot tell
	if err := datadir.Dir(k.Data).WriteKit(path, time.Now(), withKeys); err != nil {
		return err
	}
	if k.JSON {
		return k.Print(map[string]any{"kit": path, "has_keys": withKeys})
	}
	if _, err := fmt.Fprintf(k.Out, "Recovery kit: %s\n  Move it off this machine now, and destroy the older ones: who has one can "+
		"read all mail.\n", path); err != nil || withKeys {
		return err
	}
	_, err = fmt.Fprint(k.Out, "  It opens the keys that lie in the backup store, and needs no renewal when keys change.\n")
	return err
}
