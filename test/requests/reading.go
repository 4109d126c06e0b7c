package requests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/emersion/go-imap/v2"

	"rookery/test/harness"
)

// Steps are the partial reads that the large attachment is fetched in.
const Steps = 1000

// Read is what the reading of one mailbox cost, each from a cold cache but
// Again.
type Read struct {
	Messages int
	Octets   int64 // of all messages
	// Headers are all headers, Full all bodies, Again all bodies once more after
	// a restart, Attachment 10 MiB in Steps.
	Headers, Full, Again, Attachment harness.Requests
}

// Read fills a mailbox and reads it.
func (n *Node) Read(messages int) Read {
	n.t.Helper()
	out := Read{Messages: messages}
	n.fill(1, "INBOX", messages, letter)
	n.fill(1, "Large", 1, func(int) string {
		return "Subject: the attachment\r\n\r\n" + noise(rand.New(rand.NewPCG(1, 1)), 10<<20)
	})
	n.chill(1)
	cost := func(read func()) harness.Requests {
		then := n.counter.Now()
		read()
		return n.counter.Since(then)
	}
	out.Headers = cost(func() {
		if n.fetch(1, &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, Peek: true}) == 0 {
			n.t.Error("no headers came")
		}
	})
	out.Full = cost(func() { out.Octets = n.fetch(1, &imap.FetchItemBodySection{Peek: true}) })
	out.Attachment = cost(func() { n.steps(1, Steps) })
	if err := n.Restart(); err != nil {
		n.t.Fatal(err)
	}
	out.Again = cost(func() {
		if again := n.fetch(1, &imap.FetchItemBodySection{Peek: true}); again != out.Octets {
			n.t.Errorf("%d octets, then %d", out.Octets, again)
		}
	})
	return out
}

// chill makes all reads of a person's mail cold: the log is rolled over with
// large mail of the same group, the node ends, and its cache goes.
func (n *Node) chill(i int) {
	n.t.Helper()
	n.fill(i, "Ballast", 28, func(k int) string {
		return fmt.Sprintf("Subject: ballast %d\r\n\r\n%s", k, noise(rand.New(rand.NewPCG(uint64(k), 9)), 15<<20))
	})
	n.untilPacked()
	if err := n.Stop(); err != nil {
		n.t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(n.Dir, "data", "cache")); err != nil {
		n.t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		n.t.Fatal(err)
	}
}

// fetch reads all messages of an INBOX in one command and gives the octets.
func (n *Node) fetch(i int, section *imap.FetchItemBodySection) (octets int64) {
	n.t.Helper()
	x, messages := n.open(i, "INBOX")
	defer x.Close()
	var all imap.SeqSet
	all.AddRange(1, messages)
	got, err := x.Fetch(all, &imap.FetchOptions{UID: true, Flags: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		n.t.Fatal(err)
	}
	for _, m := range got {
		octets += int64(len(m.FindBodySection(section)))
	}
	if len(got) != int(messages) {
		n.t.Errorf("%d of %d messages came", len(got), messages)
	}
	return octets
}

// steps reads a person's only message in so many parts, a command each.
func (n *Node) steps(i, parts int) {
	n.t.Helper()
	x, _ := n.open(i, "Large")
	defer x.Close()
	step := int64(10<<20) / int64(parts)
	for k := range int64(parts) {
		section := &imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Offset: k * step, Size: step}}
		got, err := x.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}}).Collect()
		if err != nil || len(got) != 1 || len(got[0].FindBodySection(section)) != int(step) {
			n.t.Fatalf("step %d: %v", k, err)
		}
	}
}
