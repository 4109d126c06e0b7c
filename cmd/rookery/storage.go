package main

import "github.com/spf13/cobra"

func storageVerb(s *shell) *cobra.Command {
	v := &cobra.Command{
		Use: "storage", Short: "check and mend what lies in the object store", Long: "Looks after the object store.",
		Example: "  rookery storage check -data /var/lib/rookery",
	}
	a := s.ask(v.PersistentFlags())
	return family(v, storageCheckVerb(a), storageRebuildVerb(a), storageSweepVerb(a), storageHoldVerb(a))
}
