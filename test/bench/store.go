package main

import (
	"fmt"
	"strings"
	"testing"

	"rookery/test/requests"
)

// store: what mail costs at the object store, one table with goals. A node is
// started for it, with slapd and the S3 server that ROOKERY_TEST_S3 names, and
// a proxy that counts the requests for packs.
func (b *bench) store() error {
	var rows []goal
	for _, part := range []func(t testing.TB) []goal{b.reading, b.steady, perBody} {
		err := outsideTests(func(t testing.TB) { rows = append(rows, part(t)...) })
		if err != nil {
			return err
		}
	}
	text, err := textMail()
	if err != nil {
		return err
	}
	rows = append(rows, text...)
	var out strings.Builder
	out.WriteString("\n| what | figure | goal | how it was got |\n|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", r.what, r.figure, r.want, r.how)
	}
	b.more += out.String()
	return nil
}

// goal is a row of what was to be reached.
type goal struct{ what, figure, want, how string }

// met is a figure beside its limit.
func met(figure, most float64, format string) string {
	s := fmt.Sprintf(format, figure)
	if figure > most {
		s = "**" + s + "**, missed"
	}
	return s
}

func (b *bench) reading(t testing.TB) []goal {
	r := requests.Start(t).Read(b.sync)
	how := fmt.Sprintf("proxy between node and S3 server; %d messages, %d MiB; log rolled over, cache removed, node restarted",
		r.Messages, r.Octets>>20)
	most := float64(r.Messages) / 100
	return []goal{
		{"GETs, full sync (`FETCH 1:* (BODY.PEEK[])`), cold cache",
			met(float64(r.Full.Get), most, "%.0f") + fmt.Sprintf(", which brought %d MiB", r.Full.Sent>>20),
			fmt.Sprintf("at most %.0f", most), how},
		{"GETs, sync of headers only", met(float64(r.Headers.Get), 0, "%.0f"), "0", "the same, before it"},
		{"GETs, full sync again after a restart", met(float64(r.Again.Get), 0, "%.0f"), "0", "the same, after it; the cache is kept"},
		{fmt.Sprintf("GETs, an attachment of 10 MiB in %d partial reads, cold cache", requests.Steps),
			met(float64(r.Attachment.Get), 2, "%.0f"), "1 or 2", "the same node"},
	}
}

func (b *bench) steady(t testing.TB) []goal {
	const perSecond = 50
	d := requests.Start(t).Deliver(b.span, perSecond)
	return []goal{{"PUTs per delivered message", met(float64(d.Requests.Put)/float64(d.Messages), 0.02, "%.4f"),
		"at most 0.02 at 50 messages a second",
		fmt.Sprintf("proxy; %d messages of 1 to 16 KiB through 50 SMTP sessions to 20 users in %d groups in %.1f s: %.1f a second, "+
			"the latest answered %d ms behind its time; %d PUTs, %d GETs to read packs back",
			d.Messages, requests.Groups, d.Took.Seconds(), d.PerSecond(), d.Late.Milliseconds(), d.Requests.Put, d.Requests.Get)}}
}

func perBody(t testing.TB) (rows []goal) {
	const n = 2000
	single, packs := requests.CostPerBody(t, n)
	for i, c := range append(single[:], packs[:]...) {
		want := ""
		if i >= len(single) {
			want = fmt.Sprintf("below %d µs", single[i-len(single)].CPU.Microseconds())
		}
		rows = append(rows, goal{"CPU per body, " + c.What, fmt.Sprintf("%d µs, %.4f PUT, %.4f GET", c.CPU.Microseconds(), c.Puts, c.Gets), want,
			fmt.Sprintf("user and system time of the client's process, %d bodies of 1 to 13 KB, one after the other", n)})
	}
	return rows
}

// textMail is what the corpus' text mail takes.
func textMail() ([]goal, error) {
	text, _, err := readMail()
	if err != nil {
		return nil, err
	}
	s, err := storeAll(text)
	return []goal{{"stored bytes per received byte of text mail", met(s.ratio(), 0.40, "%.3f"), "at most 0.40",
		fmt.Sprintf("whole packs of %d messages of the corpus", len(text))}}, err
}
