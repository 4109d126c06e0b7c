// Package storage holds the verbs that look after the object store: check, rebuild
// and sweep. It owns what they print; what they order is done by the nodes, and
// by storage/pack/check where no node can.
package storage

import (
	"github.com/spf13/cobra"

	"rookery/cmd/rookery/cli"
)

// Verb is rookery storage.
func Verb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "storage", Short: "check and mend what lies in the object store", Long: "Looks after the object store.",
		Example: "  rookery storage check -data /var/lib/rookery",
	}
	a := s.Ask(v.PersistentFlags())
	return cli.Family(v, storageCheckVerb(a), storageRebuildVerb(a), storageSweepVerb(a))
}
