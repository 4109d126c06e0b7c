package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// storageOrders are the orders of rookery storage, each a verb of its own in a
// file of its own whose name begins with "storage ".
func storageOrders() []verb {
	return []verb{storageCheckVerb(), storageRebuildVerb(), storageSweepVerb(), storageHoldVerb(), storageDictionaryVerb()}
}

// storageVerb passes on to the orders.
func storageVerb() verb {
	v := verb{name: "storage", args: "ORDER [flags]", short: "check and mend what lies in the object store"}
	var long strings.Builder
	long.WriteString("Looks after the object store. The orders are:\n\n")
	for _, o := range storageOrders() {
		fmt.Fprintf(&long, "  %-15s %s\n", storageOrder(o), o.short)
	}
	long.WriteString("\nrookery storage ORDER -h explains one.\n\nExample: rookery storage check -data /var/lib/rookery")
	v.long = long.String()
	v.run = func(ctx context.Context, s *shell, args []string) error {
		if len(args) == 0 {
			return usagef("needs an order: %s", strings.Join(storageNames(), ", "))
		}
		i := slices.Index(storageNames(), args[0])
		if i < 0 {
			if err := parse(s.flags(v), args); err != nil {
				return err // it was asked for help, or for a flag before an order
			}
			return usagef("knows no order %q, only %s", args[0], strings.Join(storageNames(), ", "))
		}
		return storageOrders()[i].run(ctx, s, args[1:])
	}
	return v
}

func storageOrder(v verb) string { return strings.TrimPrefix(v.name, "storage ") }

func storageNames() (names []string) {
	for _, o := range storageOrders() {
		names = append(names, storageOrder(o))
	}
	return names
}
