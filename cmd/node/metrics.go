package node

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rookery"
)

// Buckets in seconds: of commits and look-ups, which take milliseconds, and of
// commands, which may wait for a client.
var (
	quick = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}
	slow  = []float64{.001, .005, .025, .1, .5, 2.5, 10, 60}
)

// metrics count on the way of requests. The labels of the hottest are looked
// up once.
type metrics struct {
	*catalog
	commands       *prometheus.CounterVec
	commandTimes   *prometheus.HistogramVec
	deliveries     *prometheus.CounterVec
	deliveryTimes  *prometheus.HistogramVec
	deliveredBytes *prometheus.CounterVec
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

func newMetrics() *metrics {
	c := newCatalog()
	commits := c.times("commit_seconds", "Time from proposing a command to knowing that a quorum has it on disk, forwarding and repeats included.", quick, "log")
	m := &metrics{
		catalog:        c,
		known:          map[commandKey]commandMeter{},
		commands:       c.counter("commands_total", "Commands of clients that were answered: result is ok, no or bad (IMAP), ok or err (POP3), 2xx, 4xx or 5xx (SMTP). Only MAIL, RCPT, DATA (and BDAT) and AUTH of SMTP are counted.", "protocol", "command", "result"),
		commandTimes:   c.times("command_seconds", "Time from a command's last argument to its answer, without commands that are as long as their client likes (IDLE, AUTHENTICATE).", slow, "protocol", "command"),
		deliveries:     c.counter("deliveries_total", "Messages that were accepted, or refused with the kind of error; road is smtp or append.", "road", "result"),
		deliveryTimes:  c.times("delivery_seconds", "Time from a message's last byte to its acceptance.", quick, "road"),
		deliveredBytes: c.counter("delivered_bytes_total", "Bytes of accepted messages.", "road"),
		commits:        [2]prometheus.Observer{commits.WithLabelValues("system"), commits.WithLabelValues("mail")},
		commitFailures: c.counter("commit_failures_total", "Commands whose commit failed or is in doubt, by kind of error.", "log", "kind"),
		barriers:       c.times("barrier_seconds", "Time a read waits until this node's state has everything acknowledged before.", quick).WithLabelValues(),
		storeRequests:  c.counter("store_requests_total", "Requests to the object store after their repeats: result is ok or the kind of error (not found is an answer, not a fault).", "request", "result"),
		storeTimes:     c.times("store_seconds", "Time of a request to the object store, repeats included; of a get until its first byte.", slow, "request"),
		storeBytes:     c.counter("store_bytes_total", "Bytes written to and asked from the object store.", "request"),
		lookups:        c.counter("directory_requests_total", "Requests for recipients (from the cache too) and logins, and sign-ins that a remembered password did not spare: result is ok or the kind of error.", "request", "result"),
		lookupTimes:    c.times("directory_seconds", "Time of a look-up or sign-in, the cache included.", quick, "request"),
	}
	m.scrape = newScrape(c)
	return m
}

// word is a kind of error as a label.
func word(err error) string {
	if err == nil {
		return "ok"
	}
	return strings.ReplaceAll(rookery.KindOf(err).String(), " ", "_")
}

// command is what the protocols call; took 0 is not measured.
func (m *metrics) command(protocol, command, result string, took time.Duration) {
	k := commandKey{protocol, command, result}
	m.mu.RLock()
	meter, ok := m.known[k]
	m.mu.RUnlock()
	if !ok {
		meter = commandMeter{m.commands.WithLabelValues(protocol, command, result), m.commandTimes.WithLabelValues(protocol, command)}
		m.mu.Lock()
		m.known[k] = meter
		m.mu.Unlock()
	}
	meter.count.Inc()
	if took > 0 {
		meter.time.Observe(took.Seconds())
	}
}

// IMAPCommand hears of a command of a client.
func (m *metrics) IMAPCommand(name, status string, took time.Duration) {
	result := "ok"
	switch status {
	case "NO":
		result = "no"
	case "BAD":
		result = "bad"
	}
	m.command("imap", name, result, took)
}

// POP3Command hears of a command of a client.
func (m *metrics) POP3Command(name string, ok bool, took time.Duration) {
	result := "ok"
	if !ok {
		result = "err"
	}
	m.command("pop3", name, result, took)
}

// SMTPCommand hears of a command of a client.
func (m *metrics) SMTPCommand(name string, code int, took time.Duration) {
	result := "5xx"
	switch code / 100 {
	case 2, 3:
		result = "2xx"
	case 4:
		result = "4xx"
	}
	m.command("smtp", name, result, took)
}

// delivered is what the road for new messages calls.
func (m *metrics) delivered(road string, err error, size int64, took time.Duration) {
	if err != nil {
		m.deliveries.WithLabelValues(road, word(err)).Inc()
		return
	}
	m.deliveries.WithLabelValues(road, "accepted").Inc()
	m.deliveryTimes.WithLabelValues(road).Observe(took.Seconds())
	m.deliveredBytes.WithLabelValues(road).Add(float64(size))
}

func (m *metrics) committed(id rookery.GroupID, err error, took time.Duration) {
	at, log := 1, "mail"
	if id == rookery.SystemGroup {
		at, log = 0, "system"
	}
	if err != nil {
		m.commitFailures.WithLabelValues(log, word(err)).Inc()
		return
	}
	m.commits[at].Observe(took.Seconds())
}

func (m *metrics) stored(request string, err error, bytes int64, took time.Duration) {
	m.storeRequests.WithLabelValues(request, word(err)).Inc()
	m.storeTimes.WithLabelValues(request).Observe(took.Seconds())
	if err == nil && bytes > 0 {
		m.storeBytes.WithLabelValues(request).Add(float64(bytes))
	}
}

func (m *metrics) lookedUp(request string, err error, took time.Duration) {
	m.lookups.WithLabelValues(request, word(err)).Inc()
	m.lookupTimes.WithLabelValues(request).Observe(took.Seconds())
}
