package backup

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rookery"
	"rookery/backup/export"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/rookery/cli"
	"rookery/internal/plural"
	"rookery/storage/command"
)

const exportLong = `Writes the messages that an account had at a time into files that other programs read.
The node hands them over one by one, and writes none of them to its own disk; the files
are made where this command runs, readable for who runs it alone.

  mbox     a directory with a file for each folder (mboxrd, RFC 4155)
  maildir  a Maildir++ directory, with flags, dates and keywords
  zip      a zip with a directory for each folder and an .eml file for each message

Beside the messages, messages.jsonl has for each its folder, EMAILID, flags, keywords,
date and size. At PATH there must be nothing, and it appears when all is written: a
command that fails or is interrupted leaves nothing there. Messages that cannot be read
are shown at the end and listed in messages.jsonl, and the others are exported.

Who reads mail of others says why: the reason is recorded, see rookery audit list.`

// exportReport is what became of an export.
type exportReport struct {
	Account string    `json:"account"`
	At      time.Time `json:"at"`
	Folder  string    `json:"folder,omitempty"`
	Form    string    `json:"form"`
	// Path is absolute.
	Path     string                   `json:"path"`
	Messages int                      `json:"messages"`
	Bytes    int64                    `json:"bytes"`
	Unread   []adminapi.UnreadMessage `json:"unread"`
}

func exportVerb(a *cli.Asking) *cobra.Command {
	v := &cobra.Command{
		Use: "export ADDRESS", Short: "write the messages that an account had into files", Args: cobra.ExactArgs(1), Long: exportLong,
		Example: "  rookery backup export anna@example.com -at -2h -form mbox -to anna-mail -reason \"Ticket 4711\"\n" +
			"  rookery backup export anna@example.com -at 2026-11-30T10:00:00Z -folder Projects -form zip -to projects.zip " +
			"-reason \"court order 12/26\"",
		Annotations: cli.Exits("3 there is no such account or folder, or the time cannot be restored", "4 there is something at PATH",
			"5 the cluster or a store does not answer, or the disk is full: nothing is exported",
			"6 some messages could not be read; the others are exported"),
	}
	o, at, form, to := adminapi.ExportOrder{}, "", "", ""
	f := v.Flags()
	f.StringVar(&at, "at", "", "as of when: a time like 2026-11-30T10:00:00Z, or a span before now like -2h or -3d")
	f.StringVar(&form, "form", "", "mbox, maildir or zip")
	f.StringVar(&to, "to", "", "the directory that is made, or with zip the file")
	f.StringVar(&o.Reason, "reason", "", "why the mail is read, like a ticket; it is recorded")
	f.StringVar(&o.Folder, "folder", "", "only this folder, by the name that it had, and those below it")
	v.RunE = func(c *cobra.Command, args []string) (err error) {
		switch {
		case at == "":
			return cli.Usagef("say as of when: -at TIME, like -at 2026-11-30T10:00:00Z or -at -2h")
		case to == "":
			return cli.Usagef("say where to: -to PATH, where there is nothing yet")
		case strings.TrimSpace(o.Reason) == "":
			return cli.Usagef("needs -reason TEXT: who reads mail of others says why, and it is recorded")
		}
		if o.At, err = cli.ParseTime("at", at, time.Now()); err != nil {
			return err
		}
		o.Account = args[0]
		x := exportCall{a: a, o: o, form: export.Format(form), report: exportReport{Account: o.Account, Folder: o.Folder, Form: form,
			Unread: []adminapi.UnreadMessage{}}}
		if x.report.Path, err = filepath.Abs(to); err != nil {
			return err
		}
		return x.run(c.Context())
	}
	return v
}

// exportCall is one export.
type exportCall struct {
	a      *cli.Asking
	o      adminapi.ExportOrder
	form   export.Format
	report exportReport

	out   *export.Writer
	bar   *cli.Progress
	shown time.Time
	begin adminapi.ExportBegin
	now   *export.Pending // the message whose bytes come
}

func (x *exportCall) run(ctx context.Context) (err error) {
	if x.out, err = export.Create(x.form, x.report.Path); err != nil {
		return err
	}
	defer x.out.Discard()
	x.bar = cli.NewProgress(x.a.Progress())
	x.bar.Count("The account is brought back as it was...")
	err = x.a.Admin().ExportMail(ctx, x.o, func(e adminapi.ExportEvent) error { return x.take(ctx, e) })
	if err == nil {
		err = x.add(ctx)
	}
	if x.now != nil {
		x.now.Drop()
	}
	if t := x.out.Totals(); err == nil && t.Messages+t.Missing != x.begin.Messages {
		err = rookery.E("export", rookery.KindDamaged, fmt.Errorf("the node told of %d messages of %d", t.Messages+t.Missing, x.begin.Messages))
	}
	if err == nil {
		err = x.out.Commit()
	}
	x.bar.Clear()
	if err != nil {
		return err
	}
	return x.ended()
}

// take is told of one event.
func (x *exportCall) take(ctx context.Context, e adminapi.ExportEvent) error {
	switch {
	case e.Begin != nil:
		x.begin = *e.Begin
		x.report.At = e.Begin.At
	case e.Message != nil:
		if err := x.add(ctx); err != nil {
			return err
		}
		x.now = x.out.Begin(messageOf(e.Message))
	case x.now == nil:
		return rookery.E("export", rookery.KindDamaged, errors.New("the node tells of no message, and then of its bytes"))
	case e.Unread != nil:
		m := x.now.Message()
		x.now.Drop()
		x.now = nil
		x.report.Unread = append(x.report.Unread, *e.Unread)
		return x.out.Missing(m, e.Unread.Error)
	default:
		_, err := x.now.Write(e.Part)
		return err
	}
	return nil
}

// add writes the message that has come, now that nothing more is told of it.
func (x *exportCall) add(ctx context.Context) error {
	if x.now == nil {
		return nil
	}
	err := x.now.Add(ctx)
	x.now = nil
	x.progress()
	return err
}

// progress redraws the bar now and then.
func (x *exportCall) progress() {
	if now := time.Now(); now.Sub(x.shown) > 100*time.Millisecond {
		x.shown = now
		t := x.out.Totals()
		x.bar.Show(float64(t.Bytes)/float64(max(x.begin.Bytes, 1)), fmt.Sprintf("%d of %d messages", t.Messages, x.begin.Messages))
	}
}

func messageOf(m *adminapi.ExportedMessage) export.Message {
	out := export.Message{Mailbox: m.Mailbox, Email: m.Email, Keywords: m.Keywords, Date: m.Date, Size: m.Size}
	for _, name := range m.Flags {
		f, _ := command.ParseFlag(name)
		out.Flags |= f
	}
	return out
}

func (x *exportCall) ended() error {
	t := x.out.Totals()
	x.report.Messages, x.report.Bytes = t.Messages, t.Bytes
	if err := x.show(); err != nil {
		return err
	}
	if n := len(x.report.Unread); n > 0 {
		return rookery.E("export", rookery.KindDamaged, fmt.Errorf("%s could not be read, and the others are exported", plural.Of(n, "message")))
	}
	return nil
}

func (x *exportCall) show() error {
	r := &x.report
	if x.a.JSON {
		return x.a.Print(r)
	}
	what := ""
	if r.Folder != "" {
		what = " of " + cli.Printable(r.Folder, 60)
	}
	if _, err := fmt.Fprintf(x.a.Out, "exported %s%s as of %s to %s (%s)\n", plural.Of(r.Messages, "message"), what, cli.Stamp(r.At), r.Path,
		size(r.Bytes)); err != nil || len(r.Unread) == 0 {
		return err
	}
	fmt.Fprint(x.a.Out, "\nThese could not be read:\n")
	w := tabwriter.NewWriter(x.a.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "EMAILID\tMAILBOX\tUID\tCAUSE")
	for _, u := range r.Unread {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", u.Email, cli.Printable(u.Mailbox, 30), u.UID, cli.Printable(u.Error, 200))
	}
	return w.Flush()
}
