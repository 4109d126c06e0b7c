package main

import (
	"fmt"
	"strings"
	"time"

	"rookery"
	"rookery/cmd/node"
)

// restore takes from a recovery kit what a stopped node's directory lacks.
func (k keyOrder) restore(path string, partial bool) error {
	if k.data == "" {
		return usagef("restore needs -data DIR, of a stopped node")
	}
	kit, err := node.ReadRecoveryKit(path)
	if err != nil {
		return err
	}
	logger, err := newLogger(k.shell, "warn")
	if err != nil {
		return err
	}
	r, err := node.RestoreKeys(k.data, kit, partial, logger, time.Now())
	if err != nil {
		return err
	}
	if k.json {
		return k.print(r)
	}
	for _, name := range r.Kept {
		fmt.Fprintf(k.out, "%s is there and stays as it is\n", name)
	}
	for _, name := range r.Written {
		fmt.Fprintf(k.out, "%s is restored from the kit of %s\n", name, kit.Made.Format(time.RFC3339))
	}
	if len(r.Missing) > 0 {
		fmt.Fprintf(k.out, "tenant keys %s are in use and not in the kit: what is under them cannot be read before a later kit or another node gives them\n", strings.Trim(fmt.Sprint(r.Missing), "[]"))
	}
	if r.Sealed {
		fmt.Fprint(k.out, "the keyring is sealed: it opens with the keys.command it was sealed by\n")
	}
	if len(r.Written) == 0 {
		return rookery.E("restore keys", rookery.KindExists, fmt.Errorf("nothing is missing in %s; a damaged file has to be moved away first", k.data))
	}
	_, err = fmt.Fprintf(k.out, "Next: start the node; with the majority lost, rookery recover first\n")
	return err
}
