package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rookery/cmd/node/adminapi"
)

func storageDictionaryVerb(a *asking) *cobra.Command {
	list := func(c *cobra.Command, _ []string) error {
		d, err := a.admin().Dictionaries(c.Context())
		if err != nil {
			return err
		}
		return printDictionaries(a, d)
	}
	v := family(&cobra.Command{
		Use: "dictionary", Short: "see the compression dictionaries, or train one now",
		Long: `Mail is compressed with a dictionary of strings that repeat in it: the one that
comes with the program, or one trained on this site's own mail. A site's
dictionary holds only strings that the mail of several accounts has, in several
conversations (setting compression.shared_by), is sealed under the tenant key,
and is kept for ever, since stored mail needs it.`,
		Example: "  rookery storage dictionary train -data /var/lib/rookery",
	}, &cobra.Command{
		Use: "list", Short: "show each dictionary (the default)", Args: cobra.ExactArgs(0), RunE: list,
		Long: `Shows from how much mail each dictionary was trained, what held-out mail took with
what was used before and with it (in thousandths of what was received), and how
many bodies use it. It counts the bodies of all groups, which takes a while on a
large site.`,
		Example: "  rookery storage dictionary list", Annotations: exits(),
	}, &cobra.Command{
		Use: "train", Short: "sample mail and train a dictionary now", Args: cobra.ExactArgs(0),
		Long: `Samples mail and trains a dictionary now, as the cluster does by itself every
compression.train_days. It is kept only if it is 5 % better than what is in use.`,
		Example: "  rookery storage dictionary train", Annotations: exits("4 there is too little mail, or it shares too little"),
		RunE: func(c *cobra.Command, _ []string) error {
			t, err := a.admin().TrainDictionary(c.Context())
			if err != nil {
				return err
			}
			return printTraining(a, t)
		},
	})
	v.RunE = list
	return v
}

func printDictionaries(s *asking, d adminapi.DictionariesStatus) error {
	if s.json {
		return s.print(d)
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

func inUse(x adminapi.DictionaryStatus) string {
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

func printTraining(s *asking, t adminapi.Training) error {
	if s.json {
		return s.line(t)
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
