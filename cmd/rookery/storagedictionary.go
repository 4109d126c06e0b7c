package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"rookery/cmd/node"
)

func storageDictionaryVerb() verb {
	v := verb{name: "storage dictionary", args: "[list | train] [-data DIR | -socket PATH] [--json]",
		short: "see the compression dictionaries, or train one now",
		long: `Mail is compressed with a dictionary of strings that repeat in it: the one that
comes with the program, or one trained on this site's own mail. A site's
dictionary holds only strings that the mail of several accounts has, in several
conversations (setting compression.shared_by), is sealed under the tenant key,
and is kept for ever, since stored mail needs it.

  list   (default) shows each dictionary: from how much mail it was trained, what
         held-out mail took with what was used before and with it (in thousandths
         of what was received), and how many bodies use it. It counts the bodies
         of all groups, which takes a while on a large site.
  train  samples mail and trains one now, as the cluster does by itself every
         compression.train_days. It is kept only if it is 5 % better than what is
         in use; exit code 4 where there is too little mail, or it shares too
         little.

Example: rookery storage dictionary train -data /var/lib/rookery`}
	v.run = func(ctx context.Context, s *shell, args []string) error {
		f := s.flags(v)
		admin := adminFlags(f)
		asJSON := f.Bool("json", false, "print JSON")
		rest, err := interleaved(f, args)
		if err != nil {
			return err
		}
		switch {
		case len(rest) == 0 || len(rest) == 1 && rest[0] == "list":
			d, err := admin().Dictionaries(ctx)
			if err != nil {
				return err
			}
			return printDictionaries(s, d, *asJSON)
		case len(rest) == 1 && rest[0] == "train":
			t, err := admin().TrainDictionary(ctx)
			if err != nil {
				return err
			}
			return printTraining(s, t, *asJSON)
		}
		return usagef("needs list or train")
	}
	return v
}

func printDictionaries(s *shell, d node.DictionariesStatus, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(s.out)
		enc.SetIndent("", "  ")
		return enc.Encode(d)
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "DICTIONARY\tSIZE\tMESSAGES\tACCOUNTS\tBEFORE\tAFTER\tTRAINED\tIN USE\tBODIES\tSTORED/RECEIVED\n")
	for _, x := range d.Dictionaries {
		name, size, messages, accounts, before, after := fmt.Sprintf("%d (%s)", x.ID, x.Source), dash(""), dash(""), dash(""), dash(""), dash("")
		if x.Size > 0 {
			size = fmt.Sprint(x.Size)
		}
		if x.Messages > 0 {
			messages, accounts = fmt.Sprint(x.Messages), fmt.Sprint(x.Accounts)
			before, after = fmt.Sprintf("%.3f", float64(x.Before)/1000), fmt.Sprintf("%.3f", float64(x.After)/1000)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", name, size, messages, accounts, before, after, day(x.Trained), inUse(x), x.Bodies, share3(x.Stored, x.Received))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, g := range d.Uncounted {
		fmt.Fprintf(s.out, "group %d: its bodies could not be counted now\n", g)
	}
	return nil
}

func day(t time.Time) string {
	if t.IsZero() {
		return dash("")
	}
	return t.Format(time.DateOnly)
}

func inUse(x node.DictionaryStatus) string {
	switch {
	case x.Current:
		return "new mail"
	case x.Source == "site" && x.Adopted.IsZero():
		return "waits for nodes"
	}
	return dash("")
}

func share3(part, whole int64) string {
	if whole == 0 {
		return dash("")
	}
	return fmt.Sprintf("%.3f", float64(part)/float64(whole))
}

func printTraining(s *shell, t node.Training, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(s.out).Encode(t)
	}
	fmt.Fprintf(s.out, "sampled %d messages of %d accounts; held-out mail takes %.3f of its size now, %.3f with the new dictionary\n",
		t.Messages, t.Accounts, float64(t.Before)/1000, float64(t.After)/1000)
	switch {
	case t.Adopted:
		fmt.Fprintf(s.out, "new mail is compressed with dictionary %d\n", t.ID)
	case t.ID != 0:
		fmt.Fprintf(s.out, "dictionary %d is kept and will be used once every node has it: %s\n", t.ID, t.Why)
	default:
		fmt.Fprintf(s.out, "not kept: %s\n", t.Why)
	}
	return nil
}
