package main

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"sync"
	"time"
)

// image: like catchup, but the others' logs have so little room that they no
// longer hold what the node missed: it gets an image of each mail group's
// state from its leader. Also what that takes of memory and disk.
func (b *bench) image() error {
	const size = 8 << 10
	b.each(fmt.Sprintf("node that was away for %d messages of 8 KiB, logs of 256 MiB", b.away), func(s *side) (map[string]float64, error) {
		if s.cluster == nil || s.cluster.size < 3 {
			return nil, fmt.Errorf("it has no node that may be away")
		}
		if err := s.cluster.configure(map[string]string{"log_budget": fmt.Sprint(256 << 20)}); err != nil {
			return nil, err
		}
		w := s.cluster.watchSizes()
		figures, err := awayFor(s, b.away, size)
		if err == nil {
			err = w.stop(figures)
		}
		if err == nil && figures["images"] == 0 {
			err = fmt.Errorf("no image was sent: all came from the logs")
		}
		return figures, err
	}, append(ofAway[:len(ofAway):len(ofAway)], []unit{{"images", "images installed", "groups", true}, {"memory", "most memory of the node", "MiB", true},
		{"theirs", "most memory of the others", "MiB", true}, {"disk", "most disk of the node", "MiB", true}, {"after", "its disk in the end", "MiB", true},
		{"others", "most disk of another", "MiB", true}}...))
	return nil
}

// sizes watches what the nodes of a cluster take of memory and disk.
type sizes struct {
	c      *cluster
	done   chan struct{}
	work   sync.WaitGroup
	memory []int64 // by node, the most at any time
	disk   []int64
}

func (c *cluster) watchSizes() *sizes {
	w := &sizes{c: c, done: make(chan struct{}), memory: make([]int64, c.size), disk: make([]int64, c.size)}
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
	for k := range w.c.size {
		w.disk[k] = max(w.disk[k], used(w.c.file(k, "")))
		if err == nil && k < len(pids) {
			w.memory[k] = max(w.memory[k], peak(pids[k:k+1]))
		}
	}
}

// stop adds what was seen, in MiB, to the figures.
func (w *sizes) stop(figures map[string]float64) error {
	close(w.done)
	w.work.Wait()
	w.look()
	mib := func(n int64) float64 { return float64(n) / (1 << 20) }
	for k := range w.c.size {
		if k == gone {
			figures["memory"], figures["disk"] = mib(w.memory[k]), mib(w.disk[k])
			continue
		}
		figures["theirs"], figures["others"] = max(figures["theirs"], mib(w.memory[k])), max(figures["others"], mib(w.disk[k]))
	}
	figures["after"] = mib(used(w.c.file(gone, "")))
	text, err := os.ReadFile(w.c.logFile(gone))
	for line := range bytes.Lines(text) {
		if bytes.Contains(line, []byte("image")) {
			log.Printf("node %d: %s", gone+1, bytes.TrimSpace(line))
		}
		if bytes.Contains(line, []byte("installed an image")) {
			figures["images"]++
		}
	}
	return err
}
