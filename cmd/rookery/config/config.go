// Package config holds the verbs that read and change the cluster's settings, and
// the one that gives a node some of its own. It checks nothing itself: the nodes
// and cmd/node/settings do.
package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/settings"
	"rookery/cmd/rookery/cli"
)

const long = `Reads and changes the cluster's settings through the administration socket of
a running node. Settings are versioned: a change made on an old version fails
with exit code 4 instead of undoing somebody's.

Secrets are sealed and shown as "(sealed)"; a file with "(sealed)" keeps them.`

// Verb is config with the verbs below it.
func Verb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "config", Short: "read and change the cluster's settings", Long: long,
		Example: `  rookery config set -data /var/lib/rookery domains '["example.com"]'`,
	}
	c := call{s.Ask(v.PersistentFlags())}
	const changed = "4 somebody changed the settings meanwhile"
	return cli.Family(v, sampleVerb(s), helpVerb(s),
		&cobra.Command{
			Use: "get [KEY]", Short: "print all settings, or one key", Args: cobra.MaximumNArgs(1), RunE: c.get,
			Example: "  rookery config get domains", Annotations: cli.Exits("3 there is no such key"),
		},
		setVerb(c, changed),
		&cobra.Command{
			Use: "diff FILE", Short: "print what apply would change", Args: cobra.ExactArgs(1), RunE: c.diff,
			Example: "  rookery config diff settings.toml", Annotations: cli.Exits("1 they differ, or it failed", changed),
		},
		applyVerb(c, changed), overrideVerb(c))
}

func sampleVerb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "sample", Short: "print an annotated sample of the settings, or of the node file", Args: cobra.ExactArgs(0),
		Example: "  rookery config sample -node", Annotations: cli.Exits(),
	}
	forNode := v.Flags().Bool("node", false, "the node file instead of the settings")
	v.RunE = func(*cobra.Command, []string) error {
		text := settings.Sample()
		if *forNode {
			text = settings.NodeSample()
		}
		_, err := io.WriteString(s.Out, text)
		return err
	}
	return v
}

const forceHelp = "write the settings also where a node cannot use a directory or the object store by them"

func setVerb(c call, changed string) *cobra.Command {
	v := &cobra.Command{
		Use: "set KEY VALUE", Short: "change one key; @FILE takes the value from a file", Args: cobra.ExactArgs(2),
		Example: `  rookery config set domains '["example.com"]'` + "\n  rookery config set limits.message_size 50MB" +
			"\n  rookery config set directories.main.password @/root/password",
		Annotations: cli.Exits("1 it cannot be used on a node, or failed", "3 there is no such key", changed),
	}
	force := v.Flags().Bool("force", false, forceHelp)
	v.RunE = func(v *cobra.Command, args []string) error { return c.set(v.Context(), args[0], args[1], *force) }
	return v
}

func applyVerb(c call, changed string) *cobra.Command {
	v := &cobra.Command{
		Use: "apply FILE", Short: "replace the settings by a file's (- is standard input)", Args: cobra.ExactArgs(1),
		Example: "  rookery config get > settings.toml\n  rookery config apply settings.toml", Annotations: cli.Exits(changed),
	}
	force := v.Flags().Bool("force", false, forceHelp)
	orphan := v.Flags().StringSlice("orphan", nil,
		"names of directories that are left out though accounts are from them, which then have no owner")
	v.RunE = func(v *cobra.Command, args []string) error {
		doc, next, version, err := c.read(v.Context(), args[0])
		if err != nil {
			return err
		}
		return c.put(v.Context(), doc, next, adminapi.SettingsBody{Version: version, Orphan: *orphan, Force: *force})
	}
	return v
}

type call struct{ *cli.Asking }

func (c call) get(v *cobra.Command, args []string) error {
	doc, version, err := c.Admin().Settings(v.Context())
	if err != nil {
		return err
	}
	if len(args) == 0 && !c.JSON {
		fmt.Fprintf(c.Out, "# version %d\n", version)
		_, err = c.Out.Write(doc)
		return err
	}
	var value any
	if len(args) == 1 {
		if value, err = settings.GetKey(doc, args[0]); err != nil {
			return err
		}
	} else {
		var tree map[string]any
		if err := toml.Unmarshal(doc, &tree); err != nil {
			return rookery.E("read settings", rookery.KindInvalid, err)
		}
		value = map[string]any{"version": version, "settings": tree}
	}
	if c.JSON {
		return c.Print(value)
	}
	fmt.Fprintln(c.Out, plain(value))
	return nil
}

func (c call) set(ctx context.Context, key, value string, force bool) error {
	value, err := settingValue(key, value)
	if err != nil {
		return err
	}
	doc, version, err := c.Admin().Settings(ctx)
	if err != nil {
		return err
	}
	next, err := settings.SetKey(doc, key, value)
	if err != nil {
		return err
	}
	return c.put(ctx, doc, next, adminapi.SettingsBody{Version: version, Force: force})
}

func (c call) diff(v *cobra.Command, args []string) error {
	doc, next, _, err := c.read(v.Context(), args[0])
	if err != nil {
		return err
	}
	changes, err := settings.Diff(doc, next)
	if err != nil {
		return err
	}
	if err := c.show(changes); err != nil || len(changes) == 0 {
		return err
	}
	return rookery.E("compare settings", rookery.KindDenied, errors.New("they differ"))
}

// read gives the settings' document, what a file makes of it, and its version.
func (c call) read(ctx context.Context, file string) (doc, next []byte, version uint64, err error) {
	raw, err := cli.ReadInput(file)
	if err != nil {
		return nil, nil, 0, err
	}
	s, err := settings.Parse(raw)
	if err != nil {
		return nil, nil, 0, err
	}
	doc, version, err = c.Admin().Settings(ctx)
	if err != nil {
		return nil, nil, 0, err
	}
	// A file that config get wrote says what it was made from.
	var from uint64
	if n, _ := fmt.Sscanf(string(raw), "# version %d\n", &from); n == 1 && from != version {
		return nil, nil, 0, rookery.E("compare settings", rookery.KindConflict,
			fmt.Errorf("the file was made from version %d and the settings are at %d: somebody changed them; take their changes over and "+
				"correct the file's first line", from, version))
	}
	old, err := settings.Parse(doc)
	if err != nil {
		return nil, nil, 0, err
	}
	s.KeepIDs(&old)
	next, err = s.Document()
	return doc, next, version, err
}

func (c call) put(ctx context.Context, old, next []byte, as adminapi.SettingsBody) error {
	changes, err := settings.Diff(old, next)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		return c.show(changes)
	}
	as.Document = string(next)
	if err := c.Admin().ReplaceSettings(ctx, as); err != nil {
		return err
	}
	return c.show(changes)
}

func (c call) show(changes []settings.Change) error {
	for i := range changes {
		// A secret given in clear is not printed back.
		if settings.IsSecret(changes[i].Key) && changes[i].New != nil {
			changes[i].New = settings.Hidden
		}
	}
	if c.JSON {
		return c.Print(changes)
	}
	if len(changes) == 0 {
		fmt.Fprintln(c.Out, "no change")
	}
	for _, ch := range changes {
		fmt.Fprintf(c.Out, "%s: %s -> %s\n", ch.Key, plain(ch.Old), plain(ch.New))
	}
	return nil
}

func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return "(unset)"
	case string:
		return v
	case map[string]any:
		b, err := toml.Marshal(v)
		if err == nil {
			return strings.TrimRight(string(b), "\n")
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
