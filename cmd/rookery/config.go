package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"rookery"
	"rookery/cmd/node"
)

const configLong = `Reads and changes the cluster's settings through the administration socket of
a running node. Settings are versioned: a change made on an old version fails
with exit code 4 instead of undoing somebody's.

  rookery config get [KEY]        print all settings, or one key
  rookery config set KEY VALUE    change one key; @FILE takes the value from a file
  rookery config diff FILE        what apply would change
  rookery config apply FILE       replace the settings by a file's (- is standard input)
  rookery config sample [-node]   an annotated sample of the settings, or of the node file

Secrets are sealed and shown as "(sealed)"; a file with "(sealed)" keeps them.

Example: rookery config set -data /var/lib/rookery domains '["example.com"]'`

func configVerb() verb {
	v := verb{
		name: "config", args: "get|set|diff|apply|sample [-data DIR | -socket PATH] [--json] ...",
		short: "read and change the cluster's settings", long: configLong,
	}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		admin := adminFlags(f)
		asJSON := f.Bool("json", false, "print JSON")
		forNode := f.Bool("node", false, "sample: the node file instead of the settings")
		rest, err := interleaved(f, args)
		if err != nil {
			return err
		}
		if len(rest) == 0 {
			return usagef("needs get, set, diff, apply or sample")
		}
		c := configCall{shell: s, json: *asJSON, admin: admin()}
		order, rest := rest[0], rest[1:]
		switch order {
		case "sample":
			if *forNode {
				_, err = io.WriteString(s.out, node.ConfigSample())
			} else {
				_, err = io.WriteString(s.out, node.SettingsSample())
			}
			return err
		case "get":
			return c.get(ctx, rest)
		case "set":
			return c.set(ctx, rest)
		case "diff":
			return c.diff(ctx, rest)
		case "apply":
			return c.apply(ctx, rest)
		}
		return usagef("%q is unknown: use get, set, diff, apply or sample", order)
	}
	return v
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// interleaved parses flags before, between and after the arguments.
func interleaved(f *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := parse(f, args); err != nil {
			return nil, err
		}
		if f.NArg() == 0 {
			return rest, nil
		}
		rest = append(rest, f.Arg(0))
		args = f.Args()[1:]
	}
}

type configCall struct {
	*shell
	json  bool
	admin *node.AdminClient
}

func (c configCall) get(ctx context.Context, args []string) error {
	if len(args) > 1 {
		return usagef("get takes at most one KEY")
	}
	doc, version, err := c.admin.Settings(ctx)
	if err != nil {
		return err
	}
	if len(args) == 0 && !c.json {
		fmt.Fprintf(c.out, "# version %d\n", version)
		_, err = c.out.Write(doc)
		return err
	}
	var v any
	if len(args) == 1 {
		if v, err = node.GetKey(doc, args[0]); err != nil {
			return err
		}
	} else {
		var tree map[string]any
		if err := toml.Unmarshal(doc, &tree); err != nil {
			return rookery.E("read settings", rookery.KindInvalid, err)
		}
		v = map[string]any{"version": version, "settings": tree}
	}
	if c.json {
		return c.writeJSON(v)
	}
	fmt.Fprintln(c.out, plain(v))
	return nil
}

func (c configCall) set(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return usagef("set takes KEY and VALUE")
	}
	value := args[1]
	if path, ok := strings.CutPrefix(value, "@"); ok {
		b, err := readInput(path)
		if err != nil {
			return err
		}
		value = strings.TrimRight(string(b), "\r\n")
	}
	doc, version, err := c.admin.Settings(ctx)
	if err != nil {
		return err
	}
	next, err := node.SetKey(doc, args[0], value)
	if err != nil {
		return err
	}
	return c.put(ctx, doc, next, version)
}

func (c configCall) diff(ctx context.Context, args []string) error {
	_, changes, _, err := c.compare(ctx, args)
	if err != nil {
		return err
	}
	return c.show(changes)
}

func (c configCall) apply(ctx context.Context, args []string) error {
	next, _, version, err := c.compare(ctx, args)
	if err != nil {
		return err
	}
	doc, _, err := c.admin.Settings(ctx)
	if err != nil {
		return err
	}
	return c.put(ctx, doc, next, version)
}

func (c configCall) compare(ctx context.Context, args []string) (next []byte, changes []node.Change, version uint64, err error) {
	if len(args) != 1 {
		return nil, nil, 0, usagef("takes one FILE (- is standard input)")
	}
	raw, err := readInput(args[0])
	if err != nil {
		return nil, nil, 0, err
	}
	s, err := node.ParseSettings(raw)
	if err != nil {
		return nil, nil, 0, err
	}
	if next, err = s.Document(); err != nil {
		return nil, nil, 0, err
	}
	doc, version, err := c.admin.Settings(ctx)
	if err != nil {
		return nil, nil, 0, err
	}
	// A file that config get wrote says what it was made from.
	var from uint64
	if n, _ := fmt.Sscanf(string(raw), "# version %d\n", &from); n == 1 && from != version {
		return nil, nil, 0, rookery.E("compare settings", rookery.KindConflict,
			fmt.Errorf("the file was made from version %d and the settings are at %d: somebody changed them; take their changes over and correct the file's first line", from, version))
	}
	changes, err = node.Diff(doc, next)
	return next, changes, version, err
}

func (c configCall) put(ctx context.Context, old, next []byte, version uint64) error {
	changes, err := node.Diff(old, next)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		return c.show(changes)
	}
	if err := c.admin.PutSettings(ctx, next, version); err != nil {
		return err
	}
	return c.show(changes)
}

func (c configCall) show(changes []node.Change) error {
	for i := range changes {
		// A secret given in clear is not printed back.
		if node.IsSecret(changes[i].Key) && changes[i].New != nil {
			changes[i].New = node.Hidden
		}
	}
	if c.json {
		return c.writeJSON(changes)
	}
	if len(changes) == 0 {
		fmt.Fprintln(c.out, "no change")
	}
	for _, ch := range changes {
		fmt.Fprintf(c.out, "%s: %s -> %s\n", ch.Key, plain(ch.Old), plain(ch.New))
	}
	return nil
}

func (c configCall) writeJSON(v any) error {
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
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

func readInput(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(os.Stdin, 1<<20))
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, rookery.E("read file", rookery.KindNotFound, err)
	}
	return b, nil
}
