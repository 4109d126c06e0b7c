package monitor

import (
	"github.com/prometheus/client_golang/prometheus"
)

// scrape are the metrics that are read when somebody asks.
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
	archiveLag, archiveImage, archiveOldest         *prometheus.Desc
	archiveBytes, archiveRequests, archiveFailures  *prometheus.Desc
	restores                                        *prometheus.Desc
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

		led:     c.seen("group_led", "1 where this node knows a leader of the group.", "group"),
		leads:   c.seen("group_leads", "1 where this node leads the group.", "group"),
		last:    c.seen("group_last_index", "Last entry of the group in this node's log.", "group"),
		applied: c.seen("group_applied_index", "Last entry of the group in this node's state.", "group"),
		behind:  c.seen("group_behind_entries", "Entries that are committed, as far as this node knows, and not in its state yet.", "group"),
		memberBehind: c.seen("group_member_behind_entries",
			"Told by the leader alone: entries that a member's state is behind its log.", "group", "node"),

		unpackedBodies: c.seen("unpacked_bodies", "Bodies that lie in the log alone and wait to be packed.", "group"),
		unpackedBytes:  c.seen("unpacked_bytes", "Bytes of those bodies.", "group"),
		unpackedAge: c.seen("unpacked_age_seconds",
			"Age of the oldest of them; 0 where none waits. It grows while the object store is away.", "group"),
		packs:        c.seenTotal("packs_total", "Packs that this node has written since it started."),
		packed:       c.seenTotal("packed_bytes_total", "Bytes of those packs."),
		packFailures: c.seenTotal("pack_failures_total", "Attempts to pack or to clear away that failed; each is repeated."),

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
		refused: c.seenTotal("connections_refused_total",
			"Connections closed at once because there were too many, in all or of one address.", "listener"),

		directoryUp:     c.seen("directory_server_up", "1 where a server of a directory answers.", "directory", "server"),
		directoryHits:   c.seenTotal("directory_cache_hits_total", "Recipients that were known from a moment ago."),
		directoryMisses: c.seenTotal("directory_cache_misses_total", "Recipients that the directory was asked for."),
		bodyHits:        c.seenTotal("body_cache_hits_total", "Blocks of packs that were found on this node's disk."),
		bodyMisses:      c.seenTotal("body_cache_misses_total", "Blocks of packs that had to be fetched from the object store."),
		bodyCache:       c.seen("body_cache_bytes", "Bytes of bodies that are kept on this node's disk."),

		archiveLag: c.seen("backup_lag_seconds", "Told by the leader alone: age of the oldest committed entry that the archive does not "+
			"have; 0 where it has all that is older than 5 s.", "group"),
		archiveImage: c.seen("backup_image_age_seconds",
			"Told by the leader alone: age of the group's newest image; not given before there is one.", "group"),
		archiveOldest: c.seen("backup_oldest_timestamp_seconds", "Told by the leader alone: Unix time from which on every second can be "+
			"restored, by the names of what the archive has; found anew with each image, at least daily.", "group"),
		archiveBytes: c.seenTotal("backup_written_bytes_total", "Bytes that this node has written to the backup store since it started."),
		archiveRequests: c.seenTotal("backup_requests_total",
			"Requests of this node to the backup store since it started; a listing counts once, however many pages it has.", "request"),
		archiveFailures: c.seenTotal("backup_failures_total", "Steps of archiving that failed since this node started; each is repeated."),
		restores:        c.seen("backup_restores", "Restores that this node carries out now."),

		certificate: c.seen("certificate_end_seconds",
			"Time left for a certificate: node is this node's for others (renewed by itself), mail that of the mail listeners.", "certificate"),
	}
}
