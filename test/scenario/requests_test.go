package scenario

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"golang.org/x/sync/errgroup"

	"rookery/test/harness"
)

// The sizes of the tests that count requests. For the figures of docs/bench.md:
//
//	go test ./test/scenario -run Requests -v -args -messages 10000 -steady 60s
var (
	messages = flag.Int("messages", 2000, "messages in the mailbox that is read from a cold cache")
	steady   = flag.Duration("steady", 24*time.Second, "how long mail is delivered at 50 messages a second")
)

// counted is a node with an S3 server, and a counter between them.
type counted struct {
	t *testing.T
	*harness.Serve
	requests *harness.Counter
}

func startCounted(t *testing.T) *counted {
	c := &counted{t: t}
	c.Serve = harness.StartServe(t, func(s *harness.Serve) {
		c.requests = harness.CountRequests(t, s.Endpoint)
		s.Endpoint = c.requests.URL
		f, err := os.OpenFile(filepath.Join(s.Dir, "rookery.toml"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		// The least log there can be, so that bodies have to come from packs.
		fmt.Fprintf(f, "[disk]\nlog_budget = %d\n", 256<<20)
	})
	return c
}

func person(i int) string { return fmt.Sprintf("u%04d@example.test", i) }

// open signs a person in and selects a mailbox, made if it is not there.
func (c *counted) open(i int, name string) (*imapclient.Client, uint32) {
	c.t.Helper()
	x, err := imapclient.DialTLS(c.Node.IMAPS, &imapclient.Options{TLSConfig: harness.TrustFile(c.t, c.CA)})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { x.Close() })
	if err := x.Login(person(i), "secret").Wait(); err != nil {
		c.t.Fatal(err)
	}
	if name != "INBOX" {
		x.Create(name, nil).Wait()
	}
	box, err := x.Select(name, nil).Wait()
	if err != nil {
		c.t.Fatal(err)
	}
	return x, box.NumMessages
}

// status is the JSON of rookery status.
func (c *counted) unpacked() (n int) {
	c.t.Helper()
	out, err := exec.Command(harness.Binary(c.t), "status", "-data", filepath.Join(c.Dir, "data"), "--json").Output()
	var st struct {
		Groups []struct {
			Unpacked int `json:"unpacked_bodies"`
		}
	}
	if jerr := json.Unmarshal(out, &st); jerr != nil {
		c.t.Fatalf("status: %v, %v", err, jerr)
	}
	for _, g := range st.Groups {
		n += g.Unpacked
	}
	return n
}

func (c *counted) untilPacked() {
	c.t.Helper()
	if err := harness.Poll(c.t.Context(), func() (bool, error) { return c.unpacked() == 0, nil }); err != nil {
		c.t.Fatal(err)
	}
}

// fill appends messages to a person's mailbox.
func (c *counted) fill(i int, name string, n int, text func(k int) string) {
	c.t.Helper()
	const lanes = 8
	var g errgroup.Group
	for lane := range lanes {
		x, _ := c.open(i, name)
		g.Go(func() error {
			for k := lane; k < n; k += lanes {
				m := text(k)
				a := x.Append(name, int64(len(m)), nil)
				if _, err := a.Write([]byte(m)); err != nil {
					return err
				}
				if err := a.Close(); err != nil {
					return err
				}
				if _, err := a.Wait(); err != nil {
					return err
				}
			}
			return x.Close()
		})
	}
	if err := g.Wait(); err != nil {
		c.t.Fatal(err)
	}
}

// noise is text of n octets that nothing compresses.
func noise(g *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(0x21 + g.IntN(0xff-0x21))
		if i%78 > 75 {
			b[i] = "\r\n"[i%78-76]
		}
	}
	return string(b)
}

// letter is a message of 1 to 16 KiB.
func letter(k int) string {
	g := rand.New(rand.NewPCG(uint64(k), 7))
	return fmt.Sprintf("Message-ID: <%d@scenario>\r\nSubject: letter %d\r\n\r\n%s", k, k, noise(g, 1000+g.IntN(15_000)))
}

// chill makes all reads of a person's mail cold: the log is rolled over with
// large mail of the same group, the node ends, and its cache goes.
func (c *counted) chill(i int) {
	c.t.Helper()
	c.fill(i, "Ballast", 28, func(k int) string {
		return fmt.Sprintf("Subject: ballast %d\r\n\r\n%s", k, noise(rand.New(rand.NewPCG(uint64(k), 9)), 15<<20))
	})
	c.untilPacked()
	if err := c.Stop(); err != nil {
		c.t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(c.Dir, "data", "cache")); err != nil {
		c.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		c.t.Fatal(err)
	}
}

// fetch reads all messages of an INBOX in one command and gives the octets.
func (c *counted) fetch(i int, section *imap.FetchItemBodySection) (octets int64) {
	c.t.Helper()
	x, n := c.open(i, "INBOX")
	defer x.Close()
	var all imap.SeqSet
	all.AddRange(1, n)
	got, err := x.Fetch(all, &imap.FetchOptions{UID: true, Flags: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, m := range got {
		octets += int64(len(m.FindBodySection(section)))
	}
	if len(got) != int(n) {
		c.t.Errorf("%d of %d messages came", len(got), n)
	}
	return octets
}

// TestRequestsOfReading counts what reading costs at the object store: the
// headers of a mailbox nothing, all its bodies from a cold cache a hundredth of
// a request each, and a large attachment in a thousand steps two.
func TestRequestsOfReading(t *testing.T) {
	c := startCounted(t)
	c.fill(1, "INBOX", *messages, letter)
	c.fill(1, "Large", 1, func(int) string {
		return "Subject: the attachment\r\n\r\n" + noise(rand.New(rand.NewPCG(1, 1)), 10<<20)
	})
	c.chill(1)

	then := c.requests.Now()
	headers := c.fetch(1, &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, Peek: true})
	if r := c.requests.Since(then); r.Get != 0 || headers == 0 {
		t.Errorf("the headers of %d messages cost %+v", *messages, r)
	}
	then = c.requests.Now()
	octets := c.fetch(1, &imap.FetchItemBodySection{Peek: true})
	r := c.requests.Since(then)
	t.Logf("full sync of %d messages, %d MiB, from a cold cache: %d GETs brought %d MiB", *messages, octets>>20, r.Get, r.Sent>>20)
	if r.Get == 0 || r.Get > *messages/100 {
		t.Errorf("%d GETs, want 1 to %d", r.Get, *messages/100)
	}
	if r.Sent > 2*octets {
		t.Errorf("%d bytes came for %d octets", r.Sent, octets)
	}
	then = c.requests.Now()
	c.steps(1, 1000)
	r = c.requests.Since(then)
	t.Logf("an attachment of 10 MiB in 1,000 partial reads: %d GETs brought %d KiB", r.Get, r.Sent>>10)
	if r.Get == 0 || r.Get > 2 {
		t.Errorf("%d GETs, want 1 or 2", r.Get)
	}
	if err := c.Restart(); err != nil {
		t.Fatal(err)
	}
	then = c.requests.Now()
	if again := c.fetch(1, &imap.FetchItemBodySection{Peek: true}); again != octets {
		t.Errorf("%d octets, then %d", octets, again)
	}
	if r := c.requests.Since(then); r.Get != 0 {
		t.Errorf("what is cached cost %d GETs after a restart", r.Get)
	}
}

// steps reads a person's only message in so many parts, a command each.
func (c *counted) steps(i, n int) {
	c.t.Helper()
	x, _ := c.open(i, "Large")
	defer x.Close()
	size := int64(10 << 20)
	step := size / int64(n)
	for k := range int64(n) {
		section := &imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Offset: k * step, Size: step}}
		got, err := x.Fetch(imap.SeqSetNum(1), &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}}).Collect()
		if err != nil || len(got) != 1 || len(got[0].FindBodySection(section)) != int(step) {
			c.t.Fatalf("step %d: %v", k, err)
		}
	}
}

// TestRequestsOfDelivery counts what steady delivery to all groups costs: a
// pack a group in the 8 s that the oldest body may wait.
func TestRequestsOfDelivery(t *testing.T) {
	c := startCounted(t)
	for i := range 20 { // accounts are there, and their first packs are made
		if err := send(c.Node.SMTP, []string{person(i)}, letter(i)); err != nil {
			t.Fatal(err)
		}
	}
	c.untilPacked()
	then, began := c.requests.Now(), time.Now()
	sent := 0
	var lanes errgroup.Group
	lanes.SetLimit(8)
	for tick := time.NewTicker(20 * time.Millisecond); time.Since(began) < *steady; sent++ {
		<-tick.C
		k := sent
		lanes.Go(func() error { return send(c.Node.SMTP, []string{person(k % 20)}, letter(k)) })
	}
	if err := lanes.Wait(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	c.untilPacked()
	r := c.requests.Since(then)
	t.Logf("%d messages in %v, %.1f a second, to 4 groups: %d PUTs, %.4f a message; %d GETs to read them back", sent, took.Round(time.Second),
		float64(sent)/took.Seconds(), r.Put, float64(r.Put)/float64(sent), r.Get)
	if most := 4 * (int(took/(8*time.Second)) + 2); r.Put == 0 || r.Put > most {
		t.Errorf("%d PUTs in %v, want 1 to %d", r.Put, took, most)
	}
}
