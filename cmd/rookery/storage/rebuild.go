package storage

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/objects"
	"rookery/cmd/node/settings"
	"rookery/cmd/rookery/cli"
	"rookery/cmd/rookery/machine"
	"rookery/internal/durable"
)

func storageRebuildVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "rebuild-index", Short: "find every body by the packs alone", Args: cobra.ExactArgs(0),
		Long: `Lists the packs in the object store, reads the index that each carries, and where
an index is damaged the whole object, and writes where every body lies to a file:
a line of JSON for each pack, with the place, SHA-256 and layout of its bodies.

Asked of a running node (the default), it also compares: bodies that are not
where the state of a group says are named with whose mail they are, and where
they were found. With -repair they are packed anew and the state is corrected.
Groups without a replica on that node are indexed but not compared: ask a node
that holds them.

With -settings or -store it reads the store itself, for a disaster in which no
node runs: it needs no state and no key, and changes nothing.`,
		Example: "  rookery storage rebuild-index -data /var/lib/rookery -out index.jsonl\n" +
			"  rookery storage rebuild-index -store https://s3.example.com -bucket mail -access-key rookery -secret-key-file key -out index.jsonl",
		Annotations: cli.Exits("6 a pack or a body that mail needs could not be found"),
	}
	offline := storeFlags(v.Flags())
	out := v.Flags().String("out", "rookery-index.jsonl", "file to write; replaced when all is read")
	repair := v.Flags().Bool("repair", false, "pack bodies anew that are not where the state says and were found")
	v.RunE = func(c *cobra.Command, _ []string) error {
		set, err := offline()
		if err != nil {
			return err
		}
		if set != nil && *repair {
			return cli.Usagef("-repair needs a running node, not -settings or -store")
		}
		r := &rebuildCall{checkCall: newCheckCall(a, *repair)}
		return r.run(*out, func() error {
			if set != nil {
				return objects.RebuildIndex(c.Context(), set, ".", slog.New(slog.DiscardHandler), r.pack)
			}
			return a.Admin().RebuildIndex(c.Context(), adminapi.RebuildOrder{Repair: *repair}, r.event)
		})
	}
	return v
}

// storeFlags adds the flags that name a store; nil where none is given.
func storeFlags(f *pflag.FlagSet) func() (*settings.Store, error) {
	file := f.String("settings", "", "read the store that this settings file names, without a node")
	store := f.String("store", "", "read this store, without a node: URL of an S3 service, or a directory")
	ca := f.String("store-ca", "", "PEM file with the authority of its certificate")
	bucket := f.String("bucket", "", "bucket of the S3 service")
	region := f.String("region", "", "region as the S3 service calls it")
	access := f.String("access-key", "", "identity at the S3 service")
	secret := f.String("secret-key-file", "", "file that holds its secret key")
	return func() (*settings.Store, error) {
		set := settings.Default()
		if *file != "" {
			doc, err := cli.ReadInput(*file)
			if err == nil {
				set, err = settings.Parse(doc)
			}
			if err != nil {
				return nil, err
			}
		}
		if *store != "" {
			machine.SetStore(&set.Store, *store)
		}
		x := &set.Store
		err := errors.Join(machine.Override(&x.CAFile, *ca), machine.Override(&x.Bucket, *bucket), machine.Override(&x.Region, *region),
			machine.Override(&x.AccessKey, *access), machine.TakeFile(&x.SecretKey, *secret))
		if err != nil || *file == "" && *store == "" {
			return nil, err
		}
		return x, nil
	}
}

// rebuildCall writes the index and prints what a node tells beside it.
type rebuildCall struct {
	*checkCall
	index  *json.Encoder
	result rebuildResult
}

// rebuildResult is what rookery storage rebuild-index --json prints last.
type rebuildResult struct {
	Packs    int `json:"packs"`
	Bodies   int `json:"bodies"`
	Salvaged int `json:"salvaged_packs"`
	// Lost packs gave nothing.
	Lost  int    `json:"lost_packs"`
	Index string `json:"index"`
	// Sought bodies are not where the state says; of them Found are in some
	// pack and Mended were packed anew.
	Sought int `json:"sought_bodies"`
	Found  int `json:"found_bodies"`
	Mended int `json:"mended"`
	// NotCompared are groups without a replica on the node asked.
	NotCompared []rookery.GroupID `json:"not_compared,omitempty"`
}

func (c *rebuildCall) run(out string, read func() error) (err error) {
	file, err := durable.Create(out, 0o600)
	if err != nil {
		return rookery.E("write index", rookery.KindDenied, err)
	}
	defer file.Discard()
	b := bufio.NewWriter(file)
	c.index = json.NewEncoder(b)
	err = read()
	c.bar.Clear()
	if err != nil {
		return err
	}
	if err := cmp.Or(b.Flush(), file.Commit()); err != nil {
		return rookery.E("write index", rookery.KindDenied, err)
	}
	c.result.Index, c.result.Mended = out, c.checkCall.result.Mended
	if err := c.finish(); err != nil {
		return err
	}
	switch {
	case c.result.Lost > 0:
		return rookery.E("rebuild index", rookery.KindDamaged, fmt.Errorf("%d packs gave nothing", c.result.Lost))
	case len(c.bodies) > c.result.Mended:
		return rookery.E("rebuild index", rookery.KindDamaged,
			fmt.Errorf("%d bodies are not where the state says, %d of them were mended", len(c.bodies), c.result.Mended))
	}
	return nil
}

func (c *rebuildCall) event(e adminapi.RebuildEvent) error {
	switch {
	case e.Pack != nil:
		return c.pack(e.Pack)
	case e.Compared != nil:
		c.result.Sought += e.Compared.Sought
		c.result.Found += e.Compared.Found
		return nil
	case e.NotHere != 0:
		c.result.NotCompared = append(c.result.NotCompared, e.NotHere)
		return nil
	}
	return c.checkCall.event(e.CheckEvent)
}

func (c *rebuildCall) pack(p *adminapi.IndexedPack) error {
	c.result.Packs++
	c.result.Bodies += len(p.Bodies)
	if p.Salvaged {
		c.result.Salvaged++
	}
	if p.Error != "" {
		c.result.Lost++
		c.bar.Clear()
		if !c.JSON {
			fmt.Fprintf(c.Out, "group %d: pack %s: %s\n", p.Group, p.Pack, p.Error)
		}
	}
	if c.result.Packs%100 == 0 {
		c.bar.Count(fmt.Sprintf("%d packs, %d bodies", c.result.Packs, c.result.Bodies))
	}
	return c.index.Encode(p)
}

func (c *rebuildCall) finish() error {
	r := c.result
	if c.JSON {
		return c.Line(map[string]rebuildResult{"result": r})
	}
	_, err := fmt.Fprintf(c.Out, "%d bodies in %d packs (%d salvaged, %d lost): %s\n", r.Bodies, r.Packs, r.Salvaged, r.Lost, r.Index)
	if err == nil && r.Sought > 0 {
		_, err = fmt.Fprintf(c.Out, "%d bodies are not where the state says: %d found in packs, %d packed anew\n", r.Sought, r.Found, r.Mended)
	}
	if err == nil && len(r.NotCompared) > 0 {
		_, err = fmt.Fprintf(c.Out, "not compared, for they have no replica on this node: groups %v\n", r.NotCompared)
	}
	return err
}
