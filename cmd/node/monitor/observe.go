package monitor

import (
	"strings"
	"time"

	"rookery"
)

// word is a kind of error as a label.
func word(err error) string {
	if err == nil {
		return "ok"
	}
	return strings.ReplaceAll(rookery.KindOf(err).String(), " ", "_")
}

// command counts one; took 0 is not measured.
func (m *Metrics) command(protocol, command, result string, took time.Duration) {
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
func (m *Metrics) IMAPCommand(name, status string, took time.Duration) {
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
func (m *Metrics) POP3Command(name string, ok bool, took time.Duration) {
	result := "ok"
	if !ok {
		result = "err"
	}
	m.command("pop3", name, result, took)
}

// SMTPCommand hears of a command of a client.
func (m *Metrics) SMTPCommand(name string, code int, took time.Duration) {
	result := "5xx"
	switch code / 100 {
	case 2, 3:
		result = "2xx"
	case 4:
		result = "4xx"
	}
	m.command("smtp", name, result, took)
}

// Delivered hears of each message that was accepted or refused.
func (m *Metrics) Delivered(road string, err error, size int64, took time.Duration) {
	if err != nil {
		m.deliveries.WithLabelValues(road, word(err)).Inc()
		return
	}
	m.deliveries.WithLabelValues(road, "accepted").Inc()
	m.deliveryTimes.WithLabelValues(road).Observe(took.Seconds())
	m.deliveredBytes.WithLabelValues(road).Add(float64(size))
}

// Outbound hears how an attempt at a recipient in another system ended.
func (m *Metrics) Outbound(outcome string) { m.outbound.WithLabelValues(outcome).Inc() }

// OutboundTLS hears how a session with another system's host fared with TLS.
func (m *Metrics) OutboundTLS(policy, result string) {
	m.outboundTLS.WithLabelValues(policy, result).Inc()
}

// Committed hears how long a command waited for its quorum.
func (m *Metrics) Committed(id rookery.GroupID, err error, took time.Duration) {
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

// Stored hears of a request to the object store.
func (m *Metrics) Stored(request string, err error, bytes int64, took time.Duration) {
	m.storeRequests.WithLabelValues(request, word(err)).Inc()
	m.storeTimes.WithLabelValues(request).Observe(took.Seconds())
	if err == nil && bytes > 0 {
		m.storeBytes.WithLabelValues(request).Add(float64(bytes))
	}
}

// LookedUp hears of a request to a directory.
func (m *Metrics) LookedUp(request string, err error, took time.Duration) {
	m.lookups.WithLabelValues(request, word(err)).Inc()
	m.lookupTimes.WithLabelValues(request).Observe(took.Seconds())
}

// Waited hears how long a read waited for its barrier.
func (m *Metrics) Waited(seconds float64) { m.barriers.Observe(seconds) }
