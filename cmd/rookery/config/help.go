package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/settings"
	"rookery/cmd/rookery/cli"
)

// helpVerb explains the keys, and says when a change of each counts.
func helpVerb(s *cli.Shell) *cobra.Command {
	return &cobra.Command{
		Use: "help [KEY]", Short: "explain all keys, or one, and when a change of it counts", Args: cobra.MaximumNArgs(1),
		Example: "  rookery config help limits.quota", Annotations: cli.Exits("3 there is no such key"),
		RunE: func(_ *cobra.Command, args []string) error {
			keys := settings.All()
			if len(args) == 1 {
				if keys = explained(keys, args[0]); len(keys) == 0 {
					return rookery.E("explain setting", rookery.KindNotFound, errors.New(args[0]+": no such key; all of them: rookery config help"))
				}
			}
			for _, k := range keys {
				fmt.Fprintf(s.Out, "%s\n    %s\n    %s, by default %s; a change counts %s\n", k.Name, k.Meaning, k.Kind, k.Default, k.Effect)
			}
			return nil
		},
	}
}

// explained are the keys that a name means: one, or all of a table.
func explained(all []settings.Setting, name string) (found []settings.Setting) {
	name = strings.Trim(name, ".")
	if parts := strings.Split(name, "."); parts[0] == "directories" && len(parts) > 1 {
		parts[1] = "NAME"
		name = strings.Join(parts, ".")
	}
	for _, k := range all {
		if k.Name == name || strings.HasPrefix(k.Name, name+".") {
			found = append(found, k)
		}
	}
	return found
}
