// Package figures words how far the archive is for other nodes, for operators and for the
// metrics.
//
// It owns from when on a lag is a problem. It measures nothing and asks nobody.
package figures

import (
	"fmt"
	"time"

	"rookery/backup/archive"
	"rookery/cmd/node/adminapi"
	"rookery/cmd/node/peers"
)

// How old the oldest entry that is not archived may be before that is a problem: where
// several wait, where few do (what concerns no account waits for archive.Idle as a rule),
// and before it is an alarm, whatever else is wrong.
const (
	lateAfter = time.Minute
	lateFew   = 90 * time.Second
	alarm     = 5 * time.Minute
)

// late words how far the archive of a group is behind; empty where it is not.
func late(g *adminapi.BackupGroup) string {
	lag := time.Duration(g.Lag * float64(time.Second)).Round(time.Second)
	switch {
	case g.Pending == 0:
		return ""
	case lag > alarm:
		return fmt.Sprintf("alarm: the archive of group %d is %s behind: what was agreed on since would be lost with the cluster; see that "+
			"the backup store answers its leader", g.Group, lag)
	case lag > lateFew, lag > lateAfter && g.Pending > 3:
		return fmt.Sprintf("warning: the archive of group %d is %s behind", g.Group, lag)
	}
	return ""
}

// Fill fills in what other nodes are told of a group.
func Fill(p *peers.ArchivePosition, at *archive.Position, now time.Time) {
	p.Upto, p.Time, p.Pending, p.Image, p.Segments, p.Bytes = at.Upto, at.Time, at.Pending, at.Image.Time, at.Segments, at.Bytes
	p.Complete = at.Complete
	if at.Since > 0 && at.Pending > 0 {
		p.Lag = max(0, now.UnixNano()-at.Since)
	}
	if at.Gap != nil {
		p.GapFrom, p.GapTo, p.GapWhy = at.Gap.From, at.Gap.To, at.Gap.Reason
	}
}

// Group is what operators are told of one, which a node of that name leads.
func Group(node string, p *peers.ArchivePosition) adminapi.BackupGroup {
	g := adminapi.BackupGroup{Group: p.Group, Node: node, Archived: uint64(p.Upto), Pending: p.Pending,
		Lag: time.Duration(p.Lag).Seconds(), Segments: p.Segments, Bytes: p.Bytes, Error: p.Error}
	if p.Time > 0 {
		g.Upto = time.Unix(0, p.Time).UTC()
	}
	if p.Complete > 0 {
		at := time.Unix(0, p.Complete).UTC()
		g.Complete = &at
	}
	if p.Image > 0 {
		at := time.Unix(0, p.Image).UTC()
		g.Image = &at
	}
	if p.GapTo > 0 {
		g.Gap = &adminapi.BackupGap{From: time.Unix(0, p.GapFrom).UTC(), To: time.Unix(0, p.GapTo).UTC(), Reason: p.GapWhy}
	}
	return g
}

// Problems says what is late, and what cannot be restored.
func Problems(a *adminapi.BackupStatus) (problems []string) {
	for _, g := range a.Groups {
		if why := late(&g); why != "" {
			problems = append(problems, why)
		}
		if g.Gap != nil {
			problems = append(problems, fmt.Sprintf("group %d cannot be restored to times between %s and %s: %s", g.Group,
				g.Gap.From.Format(time.RFC3339), g.Gap.To.Format(time.RFC3339), g.Gap.Reason))
		}
	}
	return problems
}

// Complete is until when the archive of all groups is complete; nil where somebody does
// not vouch, or where these are not all.
func Complete(groups []adminapi.BackupGroup, all bool) (until *time.Time) {
	for i := range groups {
		c := groups[i].Complete
		if c == nil || !all {
			return nil
		}
		if until == nil || c.Before(*until) {
			until = c
		}
	}
	return until
}
