package scenario

import (
	"testing"
	"time"

	"rookery/test/requests"
)

// Small runs of what test/bench measures (-only store), held to its goals.

// TestRequestsOfReading counts what reading costs at the object store: the
// headers of a mailbox nothing, all its bodies from a cold cache a hundredth of
// a request each, and a large attachment in a thousand steps two.
func TestRequestsOfReading(t *testing.T) {
	const messages = 2000
	r := requests.Start(t).Read(messages)
	if r.Headers.Get != 0 {
		t.Errorf("the headers of %d messages cost %+v", messages, r.Headers)
	}
	t.Logf("full sync of %d messages, %d MiB, from a cold cache: %d GETs brought %d MiB", messages, r.Octets>>20, r.Full.Get, r.Full.Sent>>20)
	if r.Full.Get == 0 || r.Full.Get > messages/100 {
		t.Errorf("%d GETs, want 1 to %d", r.Full.Get, messages/100)
	}
	if r.Full.Sent > 2*r.Octets {
		t.Errorf("%d bytes came for %d octets", r.Full.Sent, r.Octets)
	}
	if n := r.Attachment.Get; n == 0 || n > 2 {
		t.Errorf("an attachment in %d partial reads cost %d GETs, want 1 or 2", requests.Steps, n)
	}
	if n := r.Again.Get; n != 0 {
		t.Errorf("what is cached cost %d GETs after a restart", n)
	}
}

// TestRequestsOfDelivery counts what steady delivery to all groups costs: a
// pack a group in the 8 s that the oldest body may wait.
func TestRequestsOfDelivery(t *testing.T) {
	d := requests.Start(t).Deliver(24*time.Second, 50)
	t.Logf("%d messages in %v, %.1f a second: %d PUTs, %d GETs to read them back", d.Messages, d.Took.Round(time.Second),
		d.PerSecond(), d.Requests.Put, d.Requests.Get)
	if most := requests.Groups * (int(d.Took/(8*time.Second)) + 2); d.Requests.Put == 0 || d.Requests.Put > most {
		t.Errorf("%d PUTs in %v, want 1 to %d", d.Requests.Put, d.Took, most)
	}
}

// TestCostPerBody counts the requests of bodies in packs beside an object for
// each message.
func TestCostPerBody(t *testing.T) {
	const n = 600
	single, packs := requests.CostPerBody(t, n)
	for _, c := range append(single[:], packs[:]...) {
		t.Logf("%-54s %7v of CPU a body, %7v in all, %.4f PUTs, %.4f GETs", c.What, c.CPU, c.Took, c.Puts, c.Gets)
	}
	if packs[0].Puts > 0.01 || packs[0].Gets > 0.01 {
		t.Errorf("packs cost %.4f PUTs and %.4f GETs a body", packs[0].Puts, packs[0].Gets)
	}
	if most := packs[0].Puts + 4.0/n; packs[1].Gets > most {
		t.Errorf("reading packs in order costs %.4f GETs a body, want at most %.4f", packs[1].Gets, most)
	}
}
