package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rookery/test/bench/process"
	"rookery/test/harness"
	"rookery/test/quirk"
)

// image: like catchup, but the others' logs have so little room that they no
// longer hold what the node missed: it gets an image of each mail group's
// state from its leader. The object store, on the S3 server that ROOKERY_TEST_S3
// names, is away while the last of the messages come in: their bodies are in no
// pack, and the node fetches them one by one. Also what that takes of memory
// and disk. Three nodes are started for it.
func (b *bench) image() error {
	return outsideTests(func(t testing.TB) {
		store := quirk.New(t, harness.S3(t), 1)
		settings := filepath.Join(t.TempDir(), "settings.toml")
		text := fmt.Sprintf("[store]\nkind = \"s3\"\nendpoint = %q\nbucket = %q\naccess_key = \"testuser\"\nsecret_key = \"secretsecret\"\n",
			store.URL, harness.Bucket(t, harness.S3(t)))
		if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := startRookery(b.binary, 3, 15000, "-settings", settings)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.stop)
		if err := s.cluster.configure(map[string]string{"log_budget": fmt.Sprint(256 << 20)}); err != nil {
			t.Fatal(err)
		}
		if err := b.imageOnce(s, store); err != nil {
			t.Fatal(err)
		}
	})
}

func (b *bench) imageOnce(s *side, store *quirk.Proxy) error {
	const size = 8 << 10
	packed := b.away - b.unpacked
	a, err := leaves(s)
	if err == nil {
		err = a.misses(packed, size)
	}
	if err != nil {
		return err
	}
	if b.unpacked > 0 {
		if err := s.cluster.calms(); err != nil {
			return err
		}
		store.Set(quirk.Fault{Kind: quirk.SlowDown})
		if err := a.misses(b.unpacked, size); err != nil {
			return err
		}
	}
	waiting, err := s.cluster.unpacked(0)
	if err != nil {
		return err
	}
	w := s.cluster.watchSizes()
	figures, err := a.returns(b.away)
	seen := w.stop()
	store.Set()
	if err != nil {
		return err
	}
	images, err := s.cluster.images(gone)
	if err == nil && images == 0 {
		err = fmt.Errorf("no image was sent: all came from the logs")
	}
	mib := func(n int64) float64 { return float64(n) / (1 << 20) }
	var out strings.Builder
	fmt.Fprintf(&out, "\nA node that was away for %d messages of 8 KiB, logs of 256 MiB, %d bodies in no pack:\n\n| what | figure "+
		"|\n|---|---|\n", b.away, waiting)
	row := func(what, format string, args ...any) {
		fmt.Fprintf(&out, "| %s | "+format+" |\n", append([]any{what}, args...)...)
	}
	row("time to catch up", "%.1f s, %.0f messages per s", figures["s"], figures["rate"])
	row("images installed", "%d", images)
	row("mail through the others before / meanwhile", "%.0f / %.0f per s", figures["before"], figures["during"])
	row("longest wait for a 250 / a STATUS at the others meanwhile", "%.0f / %.0f ms", figures["mailgap"], figures["readgap"])
	row("most memory of the node / of another", "%.0f / %.0f MiB", mib(seen[gone].memory), mib(max(seen[0].memory, seen[1].memory)))
	row("disk of the node, most and in the end", "%.0f / %.0f MiB", mib(seen[gone].disk), mib(process.Used(s.cluster.file(gone, ""))))
	row("disk of another, most", "%.0f MiB", mib(max(seen[0].disk, seen[1].disk)))
	b.more += out.String()
	return err
}

// unpacked is how many bodies are in no pack, as a node says.
func (c *cluster) unpacked(k int) (n int, err error) {
	groups, err := c.status(k)
	for _, g := range groups {
		n += g.Unpacked
	}
	return n, err
}

// calms waits until the first node's bodies are in packs, and for a minute more:
// every half minute or so Raft lets go what the log may then forget.
func (c *cluster) calms() error {
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
		n, err := c.unpacked(0)
		if err == nil && n == 0 {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d bodies are in no pack yet: %w", n, err)
		}
	}
	time.Sleep(time.Minute)
	return nil
}

// images counts the images that a node has installed, and prints what it says
// of them.
func (c *cluster) images(k int) (n int, err error) {
	text, err := os.ReadFile(c.logFile(k))
	for line := range bytes.Lines(text) {
		if bytes.Contains(line, []byte("image")) || bytes.Contains(line, []byte("snapshot")) {
			log.Printf("node %d: %s", k+1, bytes.TrimSpace(line))
		}
		if bytes.Contains(line, []byte("installed an image")) {
			n++
		}
	}
	return n, err
}

// sizes watches what the nodes of a cluster take of memory and disk.
type sizes struct {
	c    *cluster
	done chan struct{}
	work sync.WaitGroup
	most []taken // by node
}

// taken are bytes of a node.
type taken struct{ memory, disk int64 }

func (c *cluster) watchSizes() *sizes {
	w := &sizes{c: c, done: make(chan struct{}), most: make([]taken, c.size)}
	if pids, err := c.pids(); err == nil {
		process.ForgetPeaks(pids)
	}
	w.work.Go(func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				w.look()
			case <-w.done:
				return
			}
		}
	})
	return w
}

func (w *sizes) look() {
	pids, err := w.c.pids()
	for k := range w.most {
		w.most[k].disk = max(w.most[k].disk, process.Used(w.c.file(k, "")))
		if err == nil && k < len(pids) {
			w.most[k].memory = max(w.most[k].memory, process.Peak(pids[k:k+1]))
		}
	}
}

func (w *sizes) stop() []taken {
	close(w.done)
	w.work.Wait()
	w.look()
	return w.most
}
