// Package queue has the verbs of rookery queue: what the cluster owes to other
// systems, listed, summed up and steered by asking a node. It opens no data
// directory and sends no mail.
package queue

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
	"rookery/internal/plural"
)

const long = `The queue is what the cluster owes to other systems: an entry for each recipient, in
the group of who sent the message. The leader of the group tries it, and another
node takes over where it fails.

An entry is due (a courier takes it next), sending, waiting (for its next attempt
after a failure), held, or scheduled: its sender wants it to go later, and NEXT says
when. What is scheduled is listed also where it is for mailboxes of this cluster;
cancel takes it back, release sends it now. Its id names the message and, behind the dot, the
recipient; the part before the dot picks all recipients of the message.`

// Verb is rookery queue.
func Verb(s *cli.Shell) *cobra.Command {
	v := &cobra.Command{
		Use: "queue", Short: "show and steer the mail on its way to other systems", Long: long,
		Example: "  rookery queue summary\n  rookery queue list -domain example.org\n  rookery queue retry -domain example.org",
	}
	a := s.Ask(v.PersistentFlags())
	return cli.Family(v, listVerb(a), summaryVerb(a), showVerb(a),
		orderVerb(a, "hold", "keep entries from being tried until they are released", "held"),
		orderVerb(a, "release", "let held entries go, at once", "released"),
		orderVerb(a, "retry", "try entries now", "to be tried now"),
		orderVerb(a, "reroute", "send entries to another next hop", "rerouted"),
		orderVerb(a, "cancel", "take entries out of the queue; nobody is told", "cancelled"),
		orderVerb(a, "bounce", "send entries back to their senders", "sent back"))
}

// flags adds the flags that pick entries.
func flags(c *cobra.Command) (f *adminapi.QueueFilter, check func() error) {
	f = &adminapi.QueueFilter{}
	var older time.Duration
	c.Flags().StringVar(&f.Sender, "sender", "", "only from this address")
	c.Flags().StringVar(&f.Recipient, "recipient", "", "only to this address")
	c.Flags().StringVar(&f.Domain, "domain", "", "only to recipients of this domain")
	c.Flags().StringVar(&f.NextHop, "next-hop", "", "only those that go there next: a domain, or host:port of a configured one")
	c.Flags().StringVar(&f.Reason, "reason", "", "only where the last reply has this text in it, or why it is held: unusual or brake")
	c.Flags().StringVar(&f.State, "state", "", "only those due, sending, waiting, held or scheduled")
	c.Flags().DurationVar(&older, "older", 0, "only those accepted longer ago, like 4h")
	return f, func() error {
		f.OlderThan = int64(older.Seconds())
		if f.State != "" && !slices.Contains([]string{"due", "sending", "waiting", "held", "scheduled"}, f.State) {
			return cli.Usagef("-state %s: use due, sending, waiting, held or scheduled", f.State)
		}
		return nil
	}
}

func listVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "list", Short: "list entries, the oldest message first", Args: cobra.ExactArgs(0),
		Long:        "Lists what the flags pick. With --json it is an array, also where nothing is there.",
		Example:     "  rookery queue list -state waiting -older 4h",
		Annotations: cli.Exits("5 a group does not answer"),
	}
	f, check := flags(v)
	limit := v.Flags().Int("limit", 1000, "list at most so many")
	v.RunE = func(c *cobra.Command, _ []string) error {
		if err := check(); err != nil {
			return err
		}
		l, err := a.Admin().Queue(c.Context(), *f, *limit)
		switch {
		case err != nil:
			return err
		case a.JSON:
			return a.Print(l.Entries)
		}
		return printQueue(a, &l)
	}
	return v
}

func printQueue(a *cli.Asking, l *adminapi.QueueList) error {
	if len(l.Entries) == 0 {
		_, err := fmt.Fprintln(a.Out, "Nothing waits for other systems.")
		return err
	}
	w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tACCEPTED\tFROM\tTO\tNEXT HOP\tTRIES\tNEXT\tTLS\tLAST")
	for i := range l.Entries {
		e := &l.Entries[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\n", e.ID, e.State, cli.Stamp(e.Accepted), cli.Dash(cli.Printable(e.From, 60)),
			recipients(e), cli.Dash(e.NextHop), e.Attempts, stampOrDash(e.Next),
			cli.Dash(cli.Printable(lastTLS(e), 40)), cli.Dash(cli.Printable(lastHeard(e), 80)))
	}
	if l.More > 0 {
		fmt.Fprintf(w, "and %d more: raise -limit, or pick some\n", l.More)
	}
	return w.Flush()
}

func recipients(e *adminapi.QueueEntry) string {
	if e.Others > 0 {
		return fmt.Sprintf("%s and %d more here", cli.Printable(e.To, 60), e.Others)
	}
	return cli.Printable(e.To, 60)
}

func stampOrDash(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return cli.Stamp(*t)
}

func lastTLS(e *adminapi.QueueEntry) string {
	if e.Last == nil {
		return ""
	}
	return e.Last.TLS
}

func lastHeard(e *adminapi.QueueEntry) string {
	switch {
	case e.Trouble != "":
		return e.Trouble
	case e.Why != "":
		return e.Why
	case e.Last == nil:
		return ""
	case e.Last.Code > 0:
		return fmt.Sprintf("%d %s", e.Last.Code, e.Last.Reply)
	}
	return e.Last.Reply
}

func summaryVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "summary", Short: "sum the queue up by next hop and state", Args: cobra.ExactArgs(0),
		Long: "Shows how many entries wait for each next hop, since when, and the last reply. A\nfailure that is ours or our next " +
			"hop's is marked: " +
			"it ends no message, and wants a mend.",
		Example:     "  rookery queue summary",
		Annotations: cli.Exits("5 a group does not answer"),
	}
	f, check := flags(v)
	v.RunE = func(c *cobra.Command, _ []string) error {
		if err := check(); err != nil {
			return err
		}
		sums, err := a.Admin().QueueSummary(c.Context(), *f)
		switch {
		case err != nil:
			return err
		case a.JSON:
			return a.Print(sums)
		case len(sums) == 0:
			_, err := fmt.Fprintln(a.Out, "Nothing waits for other systems.")
			return err
		}
		w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NEXT HOP\tSTATE\tCOUNT\tBYTES\tOLDEST\tLAST REPLY")
		for _, s := range sums {
			last := cli.Dash(cli.Printable(s.LastReply, 80))
			if s.Ours {
				last = "ours to mend: " + last
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", cli.Dash(s.NextHop), s.State, s.Count, s.Bytes, cli.Stamp(s.Oldest), last)
		}
		return w.Flush()
	}
	return v
}

func orderVerb(a *cli.Asking, verb, short, done string) *cobra.Command {
	v := &cobra.Command{
		Use: verb + " [ID...]", Short: short,
		Long: "Picks entries by their ids, or by flags; -all picks the whole queue. An entry that is being sent right now is left, " +
			"and counted as such.",
		Example:     "  rookery queue " + verb + " -domain example.org",
		Annotations: cli.Exits("3 an id is not in the queue", "5 a group does not answer"),
	}
	f, check := flags(v)
	var o adminapi.QueueOrder
	v.Flags().BoolVar(&o.All, "all", false, "all entries")
	switch verb {
	case "reroute":
		v.Flags().StringVar(&o.To, "to", "", "the next hop, host:port; without it, what routing says")
		v.Example = "  rookery queue reroute -domain example.org -to mail.example.org:25"
	case "bounce":
		v.Flags().StringVar(&o.Why, "why", "", "what the senders are told")
		v.Example = "  rookery queue bounce -domain example.org -why \"The domain has moved\""
	}
	v.RunE = func(c *cobra.Command, ids []string) error {
		if err := check(); err != nil {
			return err
		}
		if len(ids) == 0 && *f == (adminapi.QueueFilter{}) && !o.All {
			return cli.Usagef("%s needs ids, flags that pick entries, or -all", verb)
		}
		sum, err := orderQueue(c, a, verb, o, *f, ids)
		switch {
		case err != nil:
			return err
		case a.JSON:
			return a.Print(sum)
		}
		text := fmt.Sprintf("%s %s", plural.Of(sum.Done, "entry"), done)
		if sum.Left > 0 {
			text += fmt.Sprintf(", %s left", plural.Of(sum.Left, "entry"))
		}
		_, err = fmt.Fprintln(a.Out, text)
		return err
	}
	return v
}

// orderQueue gives the order for each id, or once without any.
func orderQueue(c *cobra.Command, a *cli.Asking, verb string, o adminapi.QueueOrder, f adminapi.QueueFilter,
	ids []string) (sum adminapi.QueueDone, err error) {
	if len(ids) == 0 {
		ids = []string{""}
	}
	var missing []string
	for _, id := range ids {
		o.QueueFilter = f
		o.ID = id
		d, err := a.Admin().SteerQueue(c.Context(), verb, o)
		if err != nil {
			return sum, err
		}
		if id != "" && d == (adminapi.QueueDone{}) {
			missing = append(missing, id)
		}
		sum.Done += d.Done
		sum.Left += d.Left
	}
	if len(missing) > 0 {
		return sum, rookery.E(verb+" queue", rookery.KindNotFound, fmt.Errorf("no entry has the id %s; it may have been sent",
			strings.Join(missing, ", ")))
	}
	return sum, nil
}
