package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

const pageHead = `# Metrics

` + "`listen.metrics` in the node file opens a listener that answers `GET /metrics` in the text format of Prometheus. It is off" + `
unless set; it has no password, so bind it to loopback or to an address that only the monitoring reaches:

    [listen]
    metrics = ["127.0.0.1:7719"]

Numbers are this node's unless they say otherwise: scrape every node. No label holds an address, a login, a message or a
secret, and each label has few values. Besides these there are the usual ` + "`go_*` and `process_*`" + `.

Watch above all: ` + "`rookery_problems` above 0, `rookery_group_led` 0, `rookery_unpacked_age_seconds` " +
	"and\n`rookery_group_member_behind_entries` that grow, `rookery_disk_free_bytes`, `rookery_certificate_end_seconds`, and " +
	"the\nhigh quantiles of `rookery_commit_seconds`. Where there is a backup, also `rookery_backup_lag_seconds` above 60, and\n" +
	"`rookery_backup_image_age_seconds` above 100,000." + `

This page is generated: ` + "`go test ./cmd/node/monitor -run TestMetricsPage -page`." + `

| metric | kind | labels | meaning |
|---|---|---|---|
`

// page is docs/operator/metrics.md.
func (c *catalog) page() string {
	defs := slices.Clone(c.defs)
	slices.SortFunc(defs, func(a, b definition) int { return cmp.Compare(a.name, b.name) })
	var b strings.Builder
	b.WriteString(pageHead)
	for _, d := range defs {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.name, d.kind, strings.Join(d.labels, ", "), d.help)
	}
	return b.String()
}
