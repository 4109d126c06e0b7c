package backup

import (
	"fmt"

	"github.com/spf13/cobra"

	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
)

func pruneVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "prune", Short: "delete what nothing in the archive needs", Args: cobra.ExactArgs(0),
		Long: "Deletes images and segments from before the window that are no kept points (backup.daily to backup.yearly). The\n" +
			"cluster does it by itself once a day. More than 20 % of the archive goes only with -force.",
		Example:     "  rookery backup prune -dry-run",
		Annotations: cli.Exits("4 more would go than is likely to be right", "5 the cluster or the backup store does not answer"),
	}
	var o adminapi.PruneOrder
	v.Flags().BoolVar(&o.DryRun, "dry-run", false, "show what would go, and delete nothing")
	v.Flags().BoolVar(&o.Force, "force", false, "delete it however much it is")
	v.RunE = func(c *cobra.Command, _ []string) error {
		r, err := a.Admin().Patient(patience).PruneBackup(c.Context(), o)
		switch {
		case err != nil:
			return err
		case a.JSON:
			return a.Print(r)
		}
		went := "deleted"
		if r.DryRun {
			went = "would be deleted"
		}
		_, err = fmt.Fprintf(a.Out, "%s: %d images and %d segments in %d objects, %s\n"+
			"kept: %d objects, %s, of them %d points from before the window\n",
			went, r.Images, r.Segments, r.Objects, size(r.Bytes), r.KeptObjects, size(r.KeptBytes), r.Points)
		return err
	}
	return v
}
