package config

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rookery/cmd/node/datadir"
	"rookery/cmd/node/settings"
	"rookery/cmd/rookery/cli"
)

const overrideLong = `Gives one node settings of its own in place of the cluster's, on its machine and
without asking any node: for one that does not start because the settings name
what this machine does not have, where no node runs on which rookery config set
could mend them. Only keys that say how this machine reaches the directories and
the object store can be given. A node that runs uses them within a minute.

Without KEY it prints what there is. While it is there, rookery status calls it a
problem on every node: it is for the time until the settings are mended.`

// overrideVerb works on the data directory alone.
func overrideVerb(c call) *cobra.Command {
	v := &cobra.Command{
		Use: "override [KEY VALUE]", Short: "settings of one node alone, where the cluster's keep it from starting", Long: overrideLong,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 || len(args) > 2 {
				return cli.Usagef("takes KEY and VALUE, or nothing")
			}
			return nil
		},
		Example: "  rookery config override -data /var/lib/rookery directories.main.ca_file /etc/ssl/ldap-ca.pem\n" +
			"  rookery config override -data /var/lib/rookery -remove",
		Annotations: cli.Exits("3 the directory is no node's"),
	}
	remove := v.Flags().Bool("remove", false, "use the cluster's settings again")
	v.RunE = func(_ *cobra.Command, args []string) error {
		d := datadir.Dir(c.Data)
		if *remove {
			if len(args) > 0 {
				return cli.Usagef("-remove takes no KEY: it removes them all")
			}
			return d.SaveOverride(nil)
		}
		over, err := d.Override()
		if err != nil {
			return err
		}
		if len(args) == 0 {
			return c.showOverride(over)
		}
		value, err := settingValue(args[0], args[1])
		if err != nil {
			return err
		}
		if over, err = settings.SetOverride(over, args[0], value); err != nil {
			return err
		}
		if err := d.SaveOverride(over); err != nil {
			return err
		}
		return c.showOverride(over)
	}
	return v
}

func (c call) showOverride(over []byte) error {
	shown, err := settings.HideOverride(over)
	if err != nil {
		return err
	}
	if c.JSON {
		keys, err := settings.OverrideKeys(over)
		if err != nil {
			return err
		}
		return c.Print(struct {
			Keys     []string `json:"keys"`
			Document string   `json:"document"`
		}{append([]string{}, keys...), string(shown)})
	}
	if len(over) == 0 {
		fmt.Fprintln(c.Out, "none: the node uses the cluster's settings")
		return nil
	}
	_, err = c.Out.Write(shown)
	return err
}

// settingValue is what an argument gives a key: itself, or a file's content.
func settingValue(key, value string) (string, error) {
	if settings.IsSecret(key) && !strings.HasPrefix(value, "@") && value != "" {
		return "", cli.Usagef("%s is a secret, and arguments are seen by others on this machine: give it from a file as @FILE, or @- for "+
			"standard input", key)
	}
	path, ok := strings.CutPrefix(value, "@")
	if !ok {
		return value, nil
	}
	b, err := cli.ReadInput(path)
	return strings.TrimRight(string(b), "\r\n"), err
}
