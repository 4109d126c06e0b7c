package monitor

import "github.com/prometheus/client_golang/prometheus"

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
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: c.note("histogram", name, help, labels), Help: help,
		Buckets: buckets}, labels)
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

// Names are those of all metrics on the page.
func (m *Metrics) Names() []string {
	names := make([]string, len(m.catalog.defs))
	for i, d := range m.catalog.defs {
		names[i] = d.name
	}
	return names
}
