// Package requests counts what mail costs at the object store: a real node with
// a real S3 server, a proxy between them that counts, and mail that is read and
// delivered by clients. It owns the loads and the counting and sets no goals:
// test/scenario holds small ones to them, test/bench prints large ones.
package requests

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"
	"golang.org/x/sync/errgroup"

	"rookery/test/harness"
)

// Node is a node with an S3 server, and a counter between them.
type Node struct {
	*harness.Serve
	t       testing.TB
	counter *harness.Counter
}

// Start runs a node until the test ends. Its log is as small as it may be, so
// that bodies have to come from packs.
func Start(t testing.TB) *Node {
	t.Helper()
	n := &Node{t: t}
	n.Serve = harness.StartServe(t, func(s *harness.Serve) {
		n.counter = harness.CountRequests(t, s.Endpoint)
		s.Endpoint = n.counter.URL
		f, err := os.OpenFile(filepath.Join(s.Dir, "rookery.toml"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fmt.Fprintf(f, "[disk]\nlog_budget = %d\n", 256<<20)
	})
	return n
}

// people is how many accounts the directory has; person is the i-th.
const people = 20

func person(i int) string { return fmt.Sprintf("u%04d@example.test", i) }

// open signs a person in and selects a mailbox, made if it is not there.
func (n *Node) open(i int, name string) (*imapclient.Client, uint32) {
	n.t.Helper()
	x, err := imapclient.DialTLS(n.Serve.Node.IMAPS, &imapclient.Options{TLSConfig: harness.TrustFile(n.t, n.CA)})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { x.Close() })
	if err := x.Login(person(i), "secret").Wait(); err != nil {
		n.t.Fatal(err)
	}
	if name != "INBOX" {
		x.Create(name, nil).Wait()
	}
	box, err := x.Select(name, nil).Wait()
	if err != nil {
		n.t.Fatal(err)
	}
	return x, box.NumMessages
}

// unpacked is how many bodies lie in the log alone, as rookery status says.
func (n *Node) unpacked() (bodies int) {
	n.t.Helper()
	out, err := exec.Command(harness.Binary(n.t), "status", "-data", filepath.Join(n.Dir, "data"), "--json").Output()
	var st struct {
		Groups []struct {
			Unpacked int `json:"unpacked_bodies"`
		}
	}
	if jerr := json.Unmarshal(out, &st); jerr != nil {
		n.t.Fatalf("status: %v, %v", err, jerr)
	}
	for _, g := range st.Groups {
		bodies += g.Unpacked
	}
	return bodies
}

func (n *Node) untilPacked() {
	n.t.Helper()
	if err := harness.Poll(n.t.Context(), func() (bool, error) { return n.unpacked() == 0, nil }); err != nil {
		n.t.Fatal(err)
	}
}

// fill appends messages to a person's mailbox.
func (n *Node) fill(i int, name string, messages int, text func(k int) string) {
	n.t.Helper()
	const lanes = 8
	var g errgroup.Group
	for lane := range lanes {
		x, _ := n.open(i, name)
		g.Go(func() error {
			for k := lane; k < messages; k += lanes {
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
		n.t.Fatal(err)
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
