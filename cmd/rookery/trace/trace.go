// Package trace has rookery trace: what became of messages, asked of all nodes and
// printed in the order in which it happened. It opens no data directory.
package trace

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
	"rookery/internal/plural"
)

const long = `Says of each message who gave it to us, what was decided, where it was filed, who took
it with which reply and under which TLS, and whom we told of a failure: in order, from
all groups. The id is the one that the reply to the message and its Received field say.

Then come refusals and sign-ins, which each node keeps for a week: mail that was not
accepted is found there. What did not answer is named at the end.`

// Verb is rookery trace.
func Verb(s *cli.Shell) *cobra.Command {
	var f adminapi.TraceFilter
	var since, until string
	v := &cobra.Command{
		Use: "trace [ID]", Short: "say what became of messages", Long: long, Args: cobra.MaximumNArgs(1),
		Example: "  rookery trace -recipient alice@example.com -since 2h\n  rookery trace -message-id '<abc@example.org>'\n" +
			"  rookery trace -user bob -since 24h",
		Annotations: cli.Exits("3 nothing was found", "5 a node or a group does not answer, so something may be missing"),
	}
	a := s.Ask(v.Flags())
	v.Flags().StringVar(&f.MessageID, "message-id", "", "only the message with this Message-ID")
	v.Flags().StringVar(&f.Sender, "sender", "", "only from this address, or @domain")
	v.Flags().StringVar(&f.Recipient, "recipient", "", "only to this address, or @domain")
	v.Flags().StringVar(&f.User, "user", "", "only refusals and sign-ins of this user")
	v.Flags().StringVar(&f.Client, "client", "", "only refusals and sign-ins from this address")
	v.Flags().StringVar(&since, "since", "24h", "not before this time, or so long ago; messages are known for 30 days")
	v.Flags().StringVar(&until, "until", "", "not after this time")
	v.Flags().IntVar(&f.Limit, "limit", 20, "at most so many messages, and as many refusals, the newest")
	v.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 1 {
			f.ID = args[0]
		}
		if f.Limit < 1 || f.Limit > 1000 {
			return cli.Usagef("-limit %d: use 1 to 1000", f.Limit)
		}
		var err error
		now := time.Now()
		if f.From, err = cli.ParseTime("since", since, now); err != nil {
			return err
		}
		if f.Until, err = cli.ParseTime("until", until, now); err != nil {
			return err
		}
		t, err := a.Admin().Trace(c.Context(), f)
		if err != nil {
			return err
		}
		if a.JSON {
			err = a.Print(t)
		} else {
			_, err = io.WriteString(a.Out, text(&t))
		}
		if err == nil {
			err = verdict(&t)
		}
		return err
	}
	return v
}

// verdict is nil where something was found and everybody has answered.
func verdict(t *adminapi.Trace) error {
	switch {
	case len(t.Silent) > 0:
		return rookery.E("trace", rookery.KindUnavailable,
			fmt.Errorf("%s did not answer, so something may be missing", strings.Join(t.Silent, "; ")))
	case len(t.Messages) == 0 && len(t.Recent) == 0:
		return rookery.E("trace", rookery.KindNotFound, fmt.Errorf("nothing was found; look further back with -since"))
	}
	return nil
}

func text(t *adminapi.Trace) string {
	var b strings.Builder
	for i := range t.Messages {
		m := &t.Messages[i]
		fmt.Fprintf(&b, "%s  from %s to %s  %d bytes  <%s>\n", m.ID, cmp.Or(cli.Printable(m.From, 120), "<>"), recipients(m.To), m.Size,
			cli.Printable(m.MessageID, 120))
		for j := range m.Events {
			fmt.Fprintf(&b, "  %s  %s\n", stamp(m.Events[j].Time), said(&m.Events[j]))
		}
		b.WriteByte('\n')
	}
	if t.MoreMessages > 0 {
		fmt.Fprintf(&b, "and %d more messages: raise -limit, or pick some\n\n", t.MoreMessages)
	}
	for i := range t.Recent {
		b.WriteString(recent(&t.Recent[i]))
	}
	if t.MoreRecent {
		b.WriteString("and older ones: raise -limit, or pick some\n")
	}
	return b.String()
}

// stamp has milliseconds: what happened to a message is seldom seconds apart.
func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05.000") }

const shown = 5

func recipients(to []string) string {
	list := cli.Printable(strings.Join(to[:min(len(to), shown)], ", "), 400)
	if more := len(to) - shown; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}

// said is an event in a sentence.
func said(e *adminapi.TraceEvent) string {
	var b strings.Builder
	switch e.Event {
	case "accepted":
		b.WriteString(accepted(e))
	case "filed":
		b.WriteString("filed in another group" + places(e))
	case "told":
		fmt.Fprintf(&b, "the sender %s was told by message %s", cli.Printable(e.To, 120), e.Notification)
	case "sent", "deferred", "failed":
		fmt.Fprintf(&b, "%s: %s", e.Event, cli.Printable(e.To, 120))
		attempt(&b, e.Attempt)
	case "disabled":
		fmt.Fprintf(&b, "held: %s, since the sender's account is disabled or gone", cli.Printable(e.To, 120))
	default:
		fmt.Fprintf(&b, "by order: %s %s", e.Event, cli.Printable(e.To, 120))
	}
	if e.Trouble != "" {
		fmt.Fprintf(&b, " (%s)", e.Trouble)
	}
	return b.String()
}

func accepted(e *adminapi.TraceEvent) string {
	var b strings.Builder
	b.WriteString("accepted")
	if e.Client == "" {
		b.WriteString(": written by this system")
	} else {
		fmt.Fprintf(&b, " by %s from %s (%s)", e.Node, e.Client, cli.Printable(e.Hello, 80))
		if e.User != "" {
			fmt.Fprintf(&b, ", signed in as %s", cli.Printable(e.User, 80))
		}
		fmt.Fprintf(&b, ", %s %s", e.Protocol, cmp.Or(e.TLS, "without TLS"))
	}
	if e.Verdict != "" {
		fmt.Fprintf(&b, "; %s", cli.Printable(e.Verdict, 120))
	}
	return b.String() + places(e)
}

func places(e *adminapi.TraceEvent) string {
	var b strings.Builder
	for i, p := range e.Places {
		if i == shown {
			break
		}
		fmt.Fprintf(&b, "\n%27s%s of account %s, UID %d", "in ", cmp.Or(cli.Printable(p.Mailbox, 80), "a mailbox that is gone"), p.Account, p.UID)
	}
	if more := max(len(e.Places)-shown, 0) + int(e.MorePlaces); more > 0 {
		fmt.Fprintf(&b, "\n%27s%d more", "in ", more)
	}
	if e.Missed > 0 {
		fmt.Fprintf(&b, "\n%27s%s, which could not take it", "not in ", plural.Of(int(e.Missed), "account"))
	}
	return b.String()
}

func attempt(b *strings.Builder, x *adminapi.QueueAttempt) {
	if x == nil {
		return
	}
	switch {
	case x.Host != "":
		fmt.Fprintf(b, " at %s (%s)", x.Host, x.Addr)
	case x.Addr != "":
		fmt.Fprintf(b, " at %s", x.Addr)
	}
	if x.TLS != "" {
		fmt.Fprintf(b, ", %s", x.TLS)
	}
	b.WriteString(": ")
	if x.Code > 0 {
		fmt.Fprintf(b, "%d ", x.Code)
	}
	b.WriteString(cli.Printable(x.Reply, 300))
}

// recent is a line of a log in one line.
func recent(l *adminapi.RecentLine) string {
	var b strings.Builder
	at, _ := time.Parse(time.RFC3339Nano, fmt.Sprint(l.Fields["time"]))
	fmt.Fprintf(&b, "%s  %s  %v", stamp(at), l.Node, l.Fields["msg"])
	for _, name := range []string{"protocol", "client", "user", "command", "from", "to", "code", "kind", "why", "error"} {
		if v, ok := l.Fields[name]; ok && fmt.Sprint(v) != "" {
			fmt.Fprintf(&b, "  %s=%s", name, cli.Printable(fmt.Sprint(v), 200))
		}
	}
	b.WriteByte('\n')
	return b.String()
}
