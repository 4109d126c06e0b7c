package monitor

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Buckets in seconds: of commits and look-ups, which take milliseconds, and of
// commands, which may wait for a client.
var (
	quick = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}
	slow  = []float64{.001, .005, .025, .1, .5, 2.5, 10, 60}
)

// Metrics count on the way of requests. The labels of the hottest are looked
// up once.
type Metrics struct {
	catalog        *catalog
	commands       *prometheus.CounterVec
	commandTimes   *prometheus.HistogramVec
	deliveries     *prometheus.CounterVec
	deliveryTimes  *prometheus.HistogramVec
	deliveredBytes *prometheus.CounterVec
	outbound       *prometheus.CounterVec
	outboundTLS    *prometheus.CounterVec
	commits        [2]prometheus.Observer // of the system group, of mail groups
	commitFailures *prometheus.CounterVec
	barriers       prometheus.Observer
	storeRequests  *prometheus.CounterVec
	storeTimes     *prometheus.HistogramVec
	storeBytes     *prometheus.CounterVec
	lookups        *prometheus.CounterVec
	lookupTimes    *prometheus.HistogramVec
	scrape         scrape

	mu    sync.RWMutex
	known map[commandKey]commandMeter
}

// commandKey and commandMeter keep the look-up of labels off the way of commands.
type commandKey struct{ protocol, command, result string }

type commandMeter struct {
	count prometheus.Counter
	time  prometheus.Observer
}

// NewMetrics has counted nothing yet.
func NewMetrics() *Metrics {
	c := newCatalog()
	commits := c.times("commit_seconds", "Time from proposing a command to knowing that a quorum has it on disk, forwarding and "+
		"repeats included.", quick, "log")
	m := &Metrics{
		catalog: c,
		known:   map[commandKey]commandMeter{},
		commands: c.counter("commands_total",
			"Commands of clients that were answered: result is ok, no or bad (IMAP), ok or err (POP3), 2xx, 4xx or 5xx (SMTP). Only "+
				"MAIL, RCPT, DATA (and BDAT) and AUTH of SMTP are counted.", "protocol", "command", "result"),
		commandTimes: c.times("command_seconds",
			"Time from a command's last argument to its answer, without commands that are as long as their client likes (IDLE, "+
				"AUTHENTICATE).", slow, "protocol", "command"),
		deliveries: c.counter("deliveries_total",
			"Messages that were accepted, or refused with the kind of error; road is smtp or append.", "road", "result"),
		deliveryTimes:  c.times("delivery_seconds", "Time from a message's last byte to its acceptance.", quick, "road"),
		deliveredBytes: c.counter("delivered_bytes_total", "Bytes of accepted messages.", "road"),
		outbound: c.counter("outbound_total",
			"Recipients in other systems that this node has tried: outcome is sent, deferred or failed.", "outcome"),
		outboundTLS: c.counter("outbound_tls_sessions_total",
			"Sessions with the hosts of other domains by how they fared with TLS: policy is tlsa, sts or no-policy-found, result is success "+
				"or a result type of RFC 8460.", "policy", "result"),
		commits:        [2]prometheus.Observer{commits.WithLabelValues("system"), commits.WithLabelValues("mail")},
		commitFailures: c.counter("commit_failures_total", "Commands whose commit failed or is in doubt, by kind of error.", "log", "kind"),
		barriers: c.times("barrier_seconds", "Time a read waits until this node's state has everything acknowledged before.",
			quick).WithLabelValues(),
		storeRequests: c.counter("store_requests_total",
			"Requests to the object store after their repeats: result is ok or the kind of error (not found is an answer, not a fault).",
			"request", "result"),
		storeTimes: c.times("store_seconds", "Time of a request to the object store, repeats included; of a get until its "+
			"first byte.", slow, "request"),
		storeBytes: c.counter("store_bytes_total", "Bytes written to and asked from the object store.", "request"),
		lookups: c.counter("directory_requests_total",
			"Requests for recipients (from the cache too) and logins, and sign-ins that a remembered password did not spare: result is "+
				"ok or the kind of error.", "request", "result"),
		lookupTimes: c.times("directory_seconds", "Time of a look-up or sign-in, the cache included.", quick, "request"),
	}
	m.scrape = newScrape(c)
	return m
}
