package monitor

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rookery"
)

var writePage = flag.Bool("page", false, "write docs/operator/metrics.md anew")

// The page for operators says what there is, and no metric lacks a sentence.
func TestMetricsPage(t *testing.T) {
	c := NewMetrics().catalog
	for _, d := range c.defs {
		if !strings.HasSuffix(d.help, ".") || strings.ContainsAny(d.help, "|\n") || len(d.help) < 20 {
			t.Errorf("the help of %s is no sentence: %q", d.name, d.help)
		}
		if total := strings.HasSuffix(d.name, "_total"); total != (d.kind == "counter") {
			t.Errorf("%s is a %s: counters, and only they, end in _total", d.name, d.kind)
		}
	}
	path := filepath.Join("..", "..", "..", "docs", "operator", "metrics.md")
	if *writePage {
		if err := os.WriteFile(path, []byte(c.page()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || string(have) != c.page() {
		t.Errorf("%s is stale (%v): go test ./cmd/node/monitor -run TestMetricsPage -page", path, err)
	}
}

// What the hottest hooks cost.
func BenchmarkMetrics(b *testing.B) {
	m := NewMetrics()
	b.Run("command", func(b *testing.B) {
		for b.Loop() {
			m.IMAPCommand("FETCH", "OK", time.Millisecond)
		}
	})
	b.Run("commit", func(b *testing.B) {
		for b.Loop() {
			m.Committed(2, nil, time.Millisecond)
		}
	})
	b.Run("delivery", func(b *testing.B) {
		for b.Loop() {
			m.Delivered("smtp", nil, 1000, time.Millisecond)
		}
	})
	b.Run("smtp command", func(b *testing.B) {
		for b.Loop() {
			m.SMTPCommand("RCPT", 250, time.Millisecond)
		}
	})
	b.Run("store", func(b *testing.B) {
		for b.Loop() {
			m.Stored("get", rookery.E("get", rookery.KindUnavailable, fmt.Errorf("x")), 0, time.Millisecond)
		}
	})
}
