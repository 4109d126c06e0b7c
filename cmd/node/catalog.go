package node

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// catalog holds the node's metrics and what the page for operators says of
// them. It has nothing of the process itself: see processCollectors.
type catalog struct {
	registry *prometheus.Registry
	defs     []definition
}

// definition is one metric on the page.
type definition struct {
	name, kind, help string
	labels           []string
}

func newCatalog() *catalog { return &catalog{registry: prometheus.NewRegistry()} }

func (c *catalog) note(kind, name, help string, labels []string) string {
	name = "rookery_" + name
	c.defs = append(c.defs, definition{name, kind, help, labels})
	return name
}

// counter counts on the way of a request.
func (c *catalog) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: c.note("counter", name, help, labels), Help: help}, labels)
	c.registry.MustRegister(v)
	return v
}

// times measures on the way of a request.
func (c *catalog) times(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: c.note("histogram", name, help, labels), Help: help, Buckets: buckets}, labels)
	c.registry.MustRegister(v)
	return v
}

// seen is a gauge, seenTotal a counter, whose value is looked up when somebody
// asks.
func (c *catalog) seen(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(c.note("gauge", name, help, labels), help, labels, nil)
}

func (c *catalog) seenTotal(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(c.note("counter", name, help, labels), help, labels, nil)
}

const pageHead = `# Metrics

` + "`listen.metrics` in the node file opens a listener that answers `GET /metrics` in the text format of Prometheus. It is off" + `
unless set; it has no password, so bind it to loopback or to an address that only the monitoring reaches:

    [listen]
    metrics = ["127.0.0.1:7719"]

Numbers are this node's unless they say otherwise: scrape every node. No label holds an address, a login, a message or a
secret, and each label has few values. Besides these there are the usual ` + "`go_*` and `process_*`" + `.

Watch above all: ` + "`rookery_problems` above 0, `rookery_group_led` 0, `rookery_unpacked_age_seconds` and\n`rookery_group_member_behind_entries` that grow, `rookery_disk_free_bytes`, `rookery_certificate_end_seconds`, and the\nhigh quantiles of `rookery_commit_seconds`." + `

This page is generated: ` + "`go test ./cmd/node -run TestMetricsPage -page`." + `

| metric | kind | labels | meaning |
|---|---|---|---|
`

// page is docs/operator/metrics.md.
func (c *catalog) page() string {
	defs := slices.Clone(c.defs)
	slices.SortFunc(defs, func(a, b definition) int { return cmp.Compare(a.name, b.name) })
	var b strings.Builder
	b.WriteString(pageHead)
	for _, d := range defs {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.name, d.kind, strings.Join(d.labels, ", "), d.help)
	}
	return b.String()
}
