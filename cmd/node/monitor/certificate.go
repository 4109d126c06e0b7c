package monitor

import (
	"time"

	"rookery/cmd/node/peers"
)

// certificateWarning is how long before its end a certificate is a problem.
const certificateWarning = 14 * 24 * time.Hour

// clientsKeptOut says what keeps clients from a node that is up: it does not listen
// yet, or its certificate has ended or is about to.
func clientsKeptOut(name string, r *peers.Report, now time.Time, problem func(string, ...any)) {
	if r.Closed {
		problem("node %s does not listen for clients yet: it is starting; its health page and its log say what it waits for", name)
	}
	if r.Certificate == 0 {
		return
	}
	const mend = "put a new one in place of the files that tls.certificate and tls.key name, which the node reads by itself"
	ends := time.Unix(r.Certificate, 0).UTC()
	switch left := ends.Sub(now); {
	case left <= 0:
		problem("node %s: its certificate for mail clients has expired on %s: %s", name, ends.Format(time.DateOnly), mend)
	case left < certificateWarning:
		problem("node %s: its certificate for mail clients ends on %s: %s", name, ends.Format(time.RFC3339), mend)
	}
}
