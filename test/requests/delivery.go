package requests

import (
	"net/smtp"
	"time"

	"golang.org/x/sync/errgroup"

	"rookery/test/harness"
)

// Groups are the mail groups that the deliveries go to: all there are.
const Groups = 4

// Delivered is what steady delivery cost.
type Delivered struct {
	Messages int
	Took     time.Duration
	// Late is how far the latest message was answered behind its time.
	Late     time.Duration
	Requests harness.Requests
}

// PerSecond is the rate that was reached.
func (d Delivered) PerSecond() float64 { return float64(d.Messages) / d.Took.Seconds() }

// lanes are the sessions that deliver. Each message has its own time, so that a
// slow answer delays those of its own lane alone, and what is late is sent at
// once: a lane reaches its part of 50 a second while answers take less than a
// second.
const lanes = 50

// Deliver delivers messages to people of all groups for a while, at so many a
// second, and waits until all are packed.
func (n *Node) Deliver(span time.Duration, perSecond int) Delivered {
	n.t.Helper()
	warm := &lane{n: n}
	for i := range people { // accounts are there, and their first packs are made
		if err := warm.send(i); err != nil {
			n.t.Fatal(err)
		}
	}
	warm.close()
	n.untilPacked()
	then, began := n.counter.Now(), time.Now()
	total, every := int(span.Seconds()*float64(perSecond)), time.Second/time.Duration(perSecond)
	late := make([]time.Duration, lanes)
	var work errgroup.Group
	for i := range lanes {
		work.Go(func() error {
			l := &lane{n: n}
			defer l.close()
			for k := i; k < total; k += lanes {
				due := began.Add(time.Duration(k) * every)
				time.Sleep(time.Until(due))
				if err := l.send(k); err != nil {
					return err
				}
				late[i] = max(late[i], time.Since(due))
			}
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		n.t.Fatal(err)
	}
	out := Delivered{Messages: total, Took: time.Since(began)}
	for _, d := range late {
		out.Late = max(out.Late, d)
	}
	n.untilPacked()
	out.Requests = n.counter.Since(then)
	return out
}

// lane is one SMTP session.
type lane struct {
	n *Node
	c *smtp.Client
}

func (l *lane) send(k int) (err error) {
	if l.c == nil {
		if l.c, err = smtp.Dial(l.n.Serve.Node.SMTP); err != nil {
			return err
		}
	}
	if err := l.c.Mail("someone@elsewhere.test"); err != nil {
		return err
	}
	if err := l.c.Rcpt(person(k % people)); err != nil {
		return err
	}
	w, err := l.c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte(letter(k))); err != nil {
		return err
	}
	return w.Close()
}

func (l *lane) close() {
	if l.c != nil {
		l.c.Close()
	}
}
