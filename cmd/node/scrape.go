package node

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rookery"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/members"
	"rookery/storage/pack"
)

// scrape are the metrics that are looked up when somebody asks.
type scrape struct {
	info, uptime, ready, problems, settings, gate   *prometheus.Desc
	nodes, alive                                    *prometheus.Desc
	led, leads, last, applied, behind, memberBehind *prometheus.Desc
	unpackedBodies, unpackedBytes, unpackedAge      *prometheus.Desc
	packs, packed, packFailures                     *prometheus.Desc
	segments, logBytes, diskFree, diskState         *prometheus.Desc
	flushes, entries, entryBytes, repaired          *prometheus.Desc
	sessions, connections, refused                  *prometheus.Desc
	directoryUp, directoryHits, directoryMisses     *prometheus.Desc
	bodyHits, bodyMisses, bodyCache                 *prometheus.Desc
	certificate                                     *prometheus.Desc
}

func newScrape(c *catalog) scrape {
	return scrape{
		info:     c.seen("info", "1, with the versions of the binary and of the commands it reads.", "binary", "commands"),
		uptime:   c.seen("uptime_seconds", "Time since the node started."),
		ready:    c.seen("ready", "1 where the readiness endpoint of a protocol sends clients here.", "protocol"),
		problems: c.seen("problems", "What rookery status finds wrong, counted."),
		settings: c.seen("settings_version", "Version of the cluster settings this node knows."),
		gate:     c.seen("version_gate", "Version of commands that was finalised."),

		nodes: c.seen("nodes", "Members of the cluster as this node has them, by state.", "state"),
		alive: c.seen("node_alive", "1 where this node hears from a member.", "node", "id"),

		led:          c.seen("group_led", "1 where this node knows a leader of the group.", "group"),
		leads:        c.seen("group_leads", "1 where this node leads the group.", "group"),
		last:         c.seen("group_last_index", "Last entry of the group in this node's log.", "group"),
		applied:      c.seen("group_applied_index", "Last entry of the group in this node's state.", "group"),
		behind:       c.seen("group_behind_entries", "Entries that are committed, as far as this node knows, and not in its state yet.", "group"),
		memberBehind: c.seen("group_member_behind_entries", "Told by the leader alone: entries that a member's state is behind its log.", "group", "node"),

		unpackedBodies: c.seen("unpacked_bodies", "Bodies that lie in the log alone and wait to be packed.", "group"),
		unpackedBytes:  c.seen("unpacked_bytes", "Bytes of those bodies.", "group"),
		unpackedAge:    c.seen("unpacked_age_seconds", "Age of the oldest of them; 0 where none waits. It grows while the object store is away.", "group"),
		packs:          c.seenTotal("packs_total", "Packs that this node has written since it started."),
		packed:         c.seenTotal("packed_bytes_total", "Bytes of those packs."),
		packFailures:   c.seenTotal("pack_failures_total", "Attempts to pack or to clear away that failed; each is repeated."),

		segments:   c.seen("log_segments", "Files of the log that hold entries."),
		logBytes:   c.seen("log_bytes", "Bytes of all files of the log."),
		diskFree:   c.seen("disk_free_bytes", "Free space on the disk of the log."),
		diskState:  c.seen("disk_short", "1 where the disk is below the limit: soft answers 452 to new mail, hard stops writing.", "limit"),
		flushes:    c.seenTotal("log_flushes_total", "Times that the log was synced to the disk."),
		entries:    c.seenTotal("log_entries_total", "Entries written to the log, of all groups."),
		entryBytes: c.seenTotal("log_entry_bytes_total", "Bytes of those entries."),
		repaired:   c.seenTotal("log_repaired_total", "Damaged entries that were fetched from other nodes."),

		sessions:    c.seen("sessions", "Open connections of clients.", "listener"),
		connections: c.seenTotal("connections_total", "Connections of clients that were admitted.", "listener"),
		refused:     c.seenTotal("connections_refused_total", "Connections closed at once because there were too many, in all or of one address.", "listener"),

		directoryUp:     c.seen("directory_server_up", "1 where a server of a directory answers.", "directory", "server"),
		directoryHits:   c.seenTotal("directory_cache_hits_total", "Recipients that were known from a moment ago."),
		directoryMisses: c.seenTotal("directory_cache_misses_total", "Recipients that the directory was asked for."),
		bodyHits:        c.seenTotal("body_cache_hits_total", "Blocks of packs that were found on this node's disk."),
		bodyMisses:      c.seenTotal("body_cache_misses_total", "Blocks of packs that had to be fetched from the object store."),
		bodyCache:       c.seen("body_cache_bytes", "Bytes of bodies that are kept on this node's disk."),

		certificate: c.seen("certificate_end_seconds", "Time left for a certificate: node is this node's for others (renewed by itself), mail that of the mail listeners.", "certificate"),
	}
}

// scraper looks a node's metrics up.
type scraper struct{ n *Node }

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
	out, n := samples(ch), c.n
	d := &n.metrics.scrape
	out.gauge(d.info, 1, BinaryVersion(), strconv.Itoa(int(members.CommandVersion)))
	for _, p := range []string{"smtp", "imap", "pop3"} {
		out.gauge(d.ready, yesNo(n.health.ready(p).Ready), p)
	}
	if e := n.hears.edge.Load(); e == nil || e.Listeners() == nil {
		return // what follows is not there yet
	}
	st := n.status()
	out.gauge(d.uptime, time.Since(n.lives.Started()).Seconds())
	out.gauge(d.problems, float64(len(st.Problems)))
	out.gauge(d.settings, float64(st.Settings))
	out.gauge(d.gate, float64(st.Gate))
	c.members(out, &st)
	c.groups(out, &st)
	c.log(out)
	c.edges(out)
	c.caches(out)
	now := n.deps.Clock()
	out.gauge(d.certificate, n.peers.Certificate().Expires().Sub(now).Seconds(), "node")
	if end, ok := n.edge.CertificateEnd(); ok {
		out.gauge(d.certificate, end.Sub(now).Seconds(), "mail")
	}
}

func (c scraper) members(out samples, st *adminapi.Status) {
	d := &c.n.metrics.scrape
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
	d := &c.n.metrics.scrape
	var packed pack.Stats
	for _, g := range st.Groups {
		group := c.n.groups.Group(g.Group)
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
		if ps, ok := c.n.objects.PackStats(g.Group); ok {
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
	at := c.n.objects.Oldest(id)
	if at.IsZero() {
		return 0
	}
	return max(0, c.n.deps.Clock().Sub(at))
}

func (c scraper) log(out samples) {
	d, s := &c.n.metrics.scrape, c.n.groups.Log().Stats()
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
	d := &c.n.metrics.scrape
	type counts struct{ open, admitted, refused float64 }
	all := map[string]counts{}
	for _, l := range c.n.edge.Listeners() {
		s, x := l.Stats(), all[l.Name()]
		all[l.Name()] = counts{x.open + float64(s.Open), x.admitted + float64(s.Admitted), x.refused + float64(s.Refused)}
	}
	for name, x := range all {
		out.gauge(d.sessions, x.open, name)
		out.total(d.connections, x.admitted, name)
		out.total(d.refused, x.refused, name)
	}
}

func (c scraper) caches(out samples) {
	d := &c.n.metrics.scrape
	p := c.n.people.Stats()
	for _, s := range p.Servers {
		out.gauge(d.directoryUp, yesNo(s.Up), s.Directory, s.URL)
	}
	out.total(d.directoryHits, float64(p.Hits))
	out.total(d.directoryMisses, float64(p.Misses))
	s := c.n.objects.CacheStats()
	out.total(d.bodyHits, float64(s.Hits))
	out.total(d.bodyMisses, float64(s.Misses))
	out.gauge(d.bodyCache, float64(s.Bytes))
}
