package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rookery/cmd/node"
	"rookery/storage/pack"
)

func storageSweepVerb() verb {
	v := verb{name: "storage sweep", args: "[-delete] [-data DIR | -socket PATH] [--json]", short: "find objects that no group knows, and delete them",
		long: `Lists the object store and asks every group, behind its read barrier, which of
its packs it knows. What is left are orphans: packs of nodes that died between
an upload and the group's word, and uploads that were abandoned halfway. Without
-delete it only says what it found. An object counts only once its name is older
than a day, after which the group refuses it for ever: a sweep never races a
node, however long that node was stalled. If one group cannot answer, or another
cluster keeps its packs in the same place, nothing is deleted. One of the nodes
sweeps by itself every week (settings key garbage.sweep_every).

Exit code 5 when the store or a group did not answer, 4 when the place is
shared with another cluster.

Example: rookery storage sweep -data /var/lib/rookery`}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		admin := adminFlags(f)
		act := f.Bool("delete", false, "delete the orphans and abort the uploads that are found")
		asJSON := f.Bool("json", false, "print each orphan and the result as a line of JSON")
		if err := parse(f, args); err != nil {
			return err
		}
		if f.NArg() > 0 {
			return usagef("takes no arguments, only flags")
		}
		c := &sweepCall{shell: s, json: *asJSON, bar: newProgress(s.err)}
		err := admin().SweepStorage(ctx, node.SweepOrder{Delete: *act}, c.event)
		c.bar.clear()
		if err != nil {
			return err
		}
		return c.finish(*act)
	}
	return v
}

// sweepCall prints what a sweep tells.
type sweepCall struct {
	*shell
	json bool
	bar  *progress
	last pack.Swept
}

func (c *sweepCall) event(e node.SweepEvent) error {
	switch {
	case e.Progress != nil:
		c.last = *e.Progress
		c.bar.show(float64(c.last.Parts)/float64(max(c.last.PartsOf, 1)), fmt.Sprintf("%d objects, %d orphans", c.last.Objects, c.last.Orphans))
	case e.Orphan != nil:
		c.bar.clear()
		if c.json {
			return json.NewEncoder(c.out).Encode(e)
		}
		what := fmt.Sprintf("%d bytes", e.Orphan.Size)
		if e.Orphan.Upload {
			what = "upload abandoned"
		}
		_, err := fmt.Fprintf(c.out, "%s  %s, %s\n", e.Orphan.Key, what, e.Orphan.Modified.UTC().Format(time.RFC3339))
		return err
	}
	return nil
}

func (c *sweepCall) finish(act bool) error {
	r := c.last
	if c.json {
		return json.NewEncoder(c.out).Encode(map[string]pack.Swept{"result": r})
	}
	fmt.Fprintf(c.out, "%d objects: %d orphans (%d KiB), %d too young to tell, %d of others; %d abandoned uploads\n", r.Objects, r.Orphans, r.Bytes>>10, r.Young, r.Foreign, r.Uploads)
	switch {
	case act:
		fmt.Fprintf(c.out, "%d objects deleted, %d uploads aborted\n", r.Deleted, r.Aborted)
	case r.Orphans+r.Uploads > 0:
		fmt.Fprint(c.out, "nothing was deleted; to delete them: rookery storage sweep -delete\n")
	}
	if r.UploadsHidden {
		fmt.Fprint(c.out, "the credentials may not list uploads: abandoned ones stay; allow s3:ListBucketMultipartUploads or set a lifecycle rule\n")
	}
	if r.More {
		fmt.Fprint(c.out, "there are more than one sweep takes: sweep again\n")
	}
	return nil
}
