package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"rookery"
	"rookery/cmd/node"
	"rookery/storage/command"
)

func storageHoldVerb() verb {
	v := verb{name: "storage hold", args: "add NAME -reason TEXT [-since TIME] [-until TIME] | list | release NAME [-data DIR | -socket PATH] [--json]",
		short: "keep stored bytes from being deleted",
		long: `A hold keeps every pack in the object store that held something mail needed at
some time of the hold, also after the mail is expunged and purged. By default it
begins now and has no end. It keeps bytes, not what a mailbox showed: which
message they were and the key to it is in the state and its backups. It does not
keep an account from being erased.

  add      places a hold in every group; exit code 5 where a group did not take
           it yet: it will, and deletes nothing of its own until then
  list     shows holds, restore points and pins with the groups that have them
  release  takes a hold back; what only it kept is deleted from then on

Times are like 2026-11-25, 2026-11-25T08:00:00Z, or 72h for 72 hours ago.

Example: rookery storage hold add case-7 -reason "court order 12/26" -data /var/lib/rookery`}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		h := holdCall{shell: s, flags: f, admin: adminFlags(f)}
		h.reason = f.String("reason", "", "why, for those who read the list later; needed by add")
		h.since = f.String("since", "", "when the hold begins (default now)")
		h.until = f.String("until", "", "when the hold ends (default never)")
		h.json = f.Bool("json", false, "print JSON")
		rest, err := interleaved(f, args)
		if err != nil {
			return err
		}
		switch {
		case len(rest) == 1 && rest[0] == "list":
			return h.list(ctx)
		case len(rest) == 2 && rest[0] == "add":
			return h.add(ctx, rest[1])
		case len(rest) == 2 && rest[0] == "release":
			a, err := h.admin().ReleaseHold(ctx, rest[1])
			return h.answer(a, err, rest[1], "released", "is still kept")
		}
		return usagef("needs add NAME, list or release NAME")
	}
	return v
}

type holdCall struct {
	*shell
	flags                *flag.FlagSet
	admin                func() *node.AdminClient
	reason, since, until *string
	json                 *bool
}

// holdTime reads a time, or a span before now.
func holdTime(name, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, form := range []string{time.RFC3339, "2006-01-02"} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("-%s %q is no time; write it like 2026-11-25, 2026-11-25T08:00:00Z or 72h", name, text)
}

func (h *holdCall) add(ctx context.Context, name string) error {
	o := node.HoldOrder{Name: name, Reason: *h.reason}
	if strings.TrimSpace(o.Reason) == "" || len(o.Reason) > command.MaxHoldReason || len(name) > command.MaxHoldName {
		return usagef("needs -reason TEXT of at most %d bytes and a NAME of at most %d", command.MaxHoldReason, command.MaxHoldName)
	}
	now := time.Now()
	var err error
	if o.From, err = holdTime("since", *h.since, now); err != nil {
		return err
	}
	if o.To, err = holdTime("until", *h.until, now); err != nil {
		return err
	}
	a, err := h.admin().PlaceHold(ctx, o)
	return h.answer(a, err, name, "in force", "is not in force yet")
}

func (h *holdCall) answer(a node.HoldAnswer, err error, name, done, not string) error {
	if err != nil {
		return err
	}
	if *h.json {
		err = json.NewEncoder(h.out).Encode(a)
	} else {
		_, err = fmt.Fprintf(h.out, "%s: %s in %d groups\n", name, done, len(a.Groups))
	}
	if err == nil && len(a.Pending) > 0 {
		err = rookery.E("hold", rookery.KindUnavailable, fmt.Errorf("it is recorded but %s in groups %v, which did not answer; it follows by itself, see: rookery storage hold list", not, a.Pending))
	}
	return err
}

func (h *holdCall) list(ctx context.Context) error {
	l, err := h.admin().Holds(ctx)
	if err != nil {
		return err
	}
	if *h.json {
		err = json.NewEncoder(h.out).Encode(l)
	} else {
		w := tabwriter.NewWriter(h.out, 0, 0, 2, ' ', 0)
		fmt.Fprint(w, "KIND\tNAME\tFROM\tUNTIL\tGROUPS\tMISSING IN\tREASON\n")
		for _, x := range l.Holds {
			until, missing := "-", "-"
			if x.To != nil {
				until = x.To.Format(time.RFC3339)
			}
			if len(x.Missing) > 0 {
				missing = fmt.Sprint(x.Missing)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", x.Kind, x.Name, x.From.Format(time.RFC3339), until, len(x.Groups), missing, x.Reason)
		}
		err = w.Flush()
	}
	if err == nil && len(l.Unasked) > 0 {
		err = rookery.E("hold", rookery.KindUnavailable, fmt.Errorf("groups %v did not answer: what they hold is not shown", l.Unasked))
	}
	return err
}
