package storage

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
	"rookery/storage/pack"
)

func storageSweepVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "sweep", Short: "find objects that no group knows, and delete them", Args: cobra.ExactArgs(0),
		Long: `Lists the object store and asks every group, behind its read barrier, which of
its packs it knows. What is left are orphans: packs of nodes that died between
an upload and the group's word, and uploads that were abandoned halfway. Without
-delete it only says what it found. An object counts only once its name is older
than a day, after which the group refuses it for ever: a sweep never races a
node, however long that node was stalled. If one group cannot answer, or another
cluster keeps its packs in the same place, nothing is deleted. One of the nodes
sweeps by itself every week (settings key garbage.sweep_every).`,
		Example:     "  rookery storage sweep -data /var/lib/rookery",
		Annotations: cli.Exits("4 the place is shared with another cluster", "5 the store or a group did not answer"),
	}
	act := v.Flags().Bool("delete", false, "delete the orphans and abort the uploads that are found")
	v.RunE = func(c *cobra.Command, _ []string) error {
		s := &sweepCall{Asking: a, bar: cli.NewProgress(a.Err)}
		err := a.Admin().SweepStorage(c.Context(), adminapi.SweepOrder{Delete: *act}, s.event)
		s.bar.Clear()
		if err != nil {
			return err
		}
		return s.finish(*act)
	}
	return v
}

// sweepCall prints what a sweep tells.
type sweepCall struct {
	*cli.Asking
	bar  *cli.Progress
	last pack.Swept
}

func (c *sweepCall) event(e adminapi.SweepEvent) error {
	switch {
	case e.Progress != nil:
		c.last = *e.Progress
		c.bar.Show(float64(c.last.Parts)/float64(max(c.last.PartsOf, 1)), fmt.Sprintf("%d objects, %d orphans", c.last.Objects, c.last.Orphans))
	case e.Orphan != nil:
		c.bar.Clear()
		if c.JSON {
			return c.Line(e)
		}
		what := fmt.Sprintf("%d bytes", e.Orphan.Size)
		if e.Orphan.Upload {
			what = "upload abandoned"
		}
		_, err := fmt.Fprintf(c.Out, "%s  %s, %s\n", e.Orphan.Key, what, e.Orphan.Modified.UTC().Format(time.RFC3339))
		return err
	}
	return nil
}

func (c *sweepCall) finish(act bool) error {
	r := c.last
	if c.JSON {
		return c.Line(map[string]pack.Swept{"result": r})
	}
	fmt.Fprintf(c.Out, "%d objects: %d orphans (%d KiB), %d too young to tell, %d of others; %d abandoned uploads\n", r.Objects,
		r.Orphans, r.Bytes>>10, r.Young, r.Foreign, r.Uploads)
	switch {
	case act:
		fmt.Fprintf(c.Out, "%d objects deleted, %d uploads aborted\n", r.Deleted, r.Aborted)
	case r.Orphans+r.Uploads > 0:
		fmt.Fprint(c.Out, "nothing was deleted; to delete them: rookery storage sweep -delete\n")
	}
	if r.UploadsHidden {
		fmt.Fprint(c.Out, "the credentials may not list uploads: abandoned ones stay; allow s3:ListBucketMultipartUploads or set a "+
			"lifecycle rule\n")
	}
	if r.More {
		fmt.Fprint(c.Out, "there are more than one sweep takes: sweep again\n")
	}
	return nil
}
