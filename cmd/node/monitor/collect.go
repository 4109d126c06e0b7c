package monitor

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/storage/command"
	"rookery/storage/pack"
)

// scraper reads a node's metrics when somebody asks.
type scraper struct{ m *Monitor }

// Describe implements prometheus.Collector: the metrics are checked by their
// descriptions in Collect.
func (scraper) Describe(chan<- *prometheus.Desc) {}

// samples sends values of one scrape.
type samples chan<- prometheus.Metric

func (s samples) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s samples) total(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func yesNo(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Collect implements prometheus.Collector.
func (c scraper) Collect(ch chan<- prometheus.Metric) {
	out, m := samples(ch), c.m
	d := &m.o.Metrics.scrape
	out.gauge(d.info, 1, adminapi.BinaryVersion(), strconv.Itoa(int(command.Version)))
	for _, p := range []string{"smtp", "imap", "pop3"} {
		out.gauge(d.ready, yesNo(m.Ready(p).Ready), p)
	}
	p := m.parts.Load()
	if p == nil || p.Edge.Listeners() == nil {
		return // what follows is not there yet
	}
	st := m.Status()
	out.gauge(d.uptime, time.Since(p.Lives.Started()).Seconds())
	out.gauge(d.problems, float64(len(st.Problems)))
	out.gauge(d.settings, float64(st.Settings))
	out.gauge(d.gate, float64(st.Gate))
	c.members(out, &st)
	c.groups(out, &st)
	c.log(out)
	c.edges(out)
	c.caches(out)
	c.backups(out)
	now := m.o.Clock()
	out.gauge(d.certificate, p.Peers.Certificate().Expires().Sub(now).Seconds(), "node")
	if end, ok := p.Edge.CertificateEnd(); ok {
		out.gauge(d.certificate, end.Sub(now).Seconds(), "mail")
	}
}

func (c scraper) members(out samples, st *adminapi.Status) {
	d := &c.m.o.Metrics.scrape
	states := map[string]float64{"active": 0, "draining": 0}
	for _, x := range st.Nodes {
		states[x.State]++
		out.gauge(d.alive, yesNo(x.Alive), x.Name, x.Node)
	}
	for state, count := range states {
		out.gauge(d.nodes, count, state)
	}
}

func (c scraper) groups(out samples, st *adminapi.Status) {
	d := &c.m.o.Metrics.scrape
	var packed pack.Stats
	for _, g := range st.Groups {
		group := c.m.parts.Load().Replicas.Group(g.Group)
		if group == nil {
			continue // lives elsewhere
		}
		label := strconv.Itoa(int(g.Group))
		s := group.Stats()
		out.gauge(d.led, yesNo(g.Leader != ""), label)
		out.gauge(d.leads, yesNo(group.IsLeader()), label)
		out.gauge(d.last, float64(s.Last), label)
		out.gauge(d.applied, float64(s.Applied), label)
		out.gauge(d.behind, float64(max(s.Commit, s.Applied)-s.Applied), label)
		if group.IsLeader() {
			for name, lag := range g.Lag {
				out.gauge(d.memberBehind, float64(lag), label, name)
			}
		}
		if g.Group == rookery.SystemGroup {
			continue
		}
		out.gauge(d.unpackedBodies, float64(g.Unpacked), label)
		out.gauge(d.unpackedBytes, float64(g.Bytes), label)
		out.gauge(d.unpackedAge, c.oldest(g.Group).Seconds(), label)
		if ps, ok := c.m.parts.Load().Objects.PackStats(g.Group); ok {
			packed.Packs, packed.Bytes, packed.Failures = packed.Packs+ps.Packs, packed.Bytes+ps.Bytes, packed.Failures+ps.Failures
		}
	}
	out.total(d.packs, float64(packed.Packs))
	out.total(d.packed, float64(packed.Bytes))
	out.total(d.packFailures, float64(packed.Failures))
}

// oldest is the age of a group's oldest unpacked body, told by the entry that
// brought it.
func (c scraper) oldest(id rookery.GroupID) time.Duration {
	at := c.m.parts.Load().Objects.Oldest(id)
	if at.IsZero() {
		return 0
	}
	return max(0, c.m.o.Clock().Sub(at))
}

func (c scraper) log(out samples) {
	d, s := &c.m.o.Metrics.scrape, c.m.parts.Load().Replicas.Log().Stats()
	out.gauge(d.segments, float64(s.Segments))
	out.gauge(d.logBytes, float64(s.Bytes))
	out.gauge(d.diskFree, float64(s.DiskFree))
	for _, limit := range []string{"soft", "hard"} {
		out.gauge(d.diskState, yesNo(s.Disk.String() == limit), limit)
	}
	out.total(d.flushes, float64(s.Flushes))
	out.total(d.entries, float64(s.Entries))
	out.total(d.entryBytes, float64(s.EntryBytes))
	out.total(d.repaired, float64(s.Repaired))
}

// edges are the clients' listeners; one may have several addresses.
func (c scraper) edges(out samples) {
	d := &c.m.o.Metrics.scrape
	type counts struct{ open, admitted, refused float64 }
	all := map[string]counts{}
	for _, l := range c.m.parts.Load().Edge.Listeners() {
		s, x := l.Stats(), all[l.Name()]
		all[l.Name()] = counts{x.open + float64(s.Open), x.admitted + float64(s.Admitted), x.refused + float64(s.Refused)}
	}
	for name, x := range all {
		out.gauge(d.sessions, x.open, name)
		out.total(d.connections, x.admitted, name)
		out.total(d.refused, x.refused, name)
	}
}

func (c scraper) backups(out samples) {
	d, s := &c.m.o.Metrics.scrape, c.m.parts.Load().Backups.Stats()
	now := c.m.o.Clock()
	for _, g := range s.Groups {
		label := strconv.Itoa(int(g.Group))
		out.gauge(d.archiveLag, g.Lag.Seconds(), label)
		if !g.Image.IsZero() {
			out.gauge(d.archiveImage, max(0, now.Sub(g.Image).Seconds()), label)
		}
		if !g.Oldest.IsZero() {
			out.gauge(d.archiveOldest, float64(g.Oldest.Unix()), label)
		}
	}
	out.total(d.archiveBytes, float64(s.Written))
	for request, n := range s.Requests {
		out.total(d.archiveRequests, float64(n), request)
	}
	out.total(d.archiveFailures, float64(s.Failed))
	out.gauge(d.restores, float64(s.Restores))
}

func (c scraper) caches(out samples) {
	d := &c.m.o.Metrics.scrape
	p := c.m.parts.Load().Directories.Stats()
	for _, s := range p.Servers {
		out.gauge(d.directoryUp, yesNo(s.Up), s.Directory, s.URL)
	}
	out.total(d.directoryHits, float64(p.Hits))
	out.total(d.directoryMisses, float64(p.Misses))
	s := c.m.parts.Load().Objects.CacheStats()
	out.total(d.bodyHits, float64(s.Hits))
	out.total(d.bodyMisses, float64(s.Misses))
	out.gauge(d.bodyCache, float64(s.Bytes))
}
