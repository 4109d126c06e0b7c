package chaos

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// phases is what the time after a leader's death is made of, group by group,
// as the survivors' logs have it.
type phases struct {
	silence   []time.Duration // last heartbeat to the election's start, where it was won
	detection []time.Duration // kill to the first start of an election
	election  []time.Duration // from there until one was elected, with votes that were split
	entry     []time.Duration // until the new leader had committed an entry
	accepted  []time.Duration // until mail for the group was accepted
	total     []time.Duration // kill to then

	events map[string][]event // by group
}

type event struct {
	at      time.Time
	what    string
	silence time.Duration
}

var (
	phaseRE = regexp.MustCompile(`^time=(\S+) .*msg="?(stands for election|elected|leads: an entry of its term is committed|message accepted)"? .*\bgroup=(\d+)`)
	quietRE = regexp.MustCompile(`\bsilence=(\S+)`)
)

// read notes what a survivor's log tells.
func (p *phases) read(lines [][]byte) {
	if p.events == nil {
		p.events = map[string][]event{}
	}
	for _, l := range lines {
		m := phaseRE.FindSubmatch(l)
		if m == nil {
			continue
		}
		e := event{what: string(m[2])}
		e.at, _ = time.Parse(time.RFC3339Nano, string(m[1]))
		if q := quietRE.FindSubmatch(l); q != nil {
			e.silence, _ = time.ParseDuration(string(q[1]))
		}
		p.events[string(m[3])] = append(p.events[string(m[3])], e)
	}
}

// file takes what was read apart for the groups that a dead leader led, and
// forgets it.
func (p *phases) file(dead time.Time, led []int) {
	for _, group := range led {
		events := p.events[fmt.Sprint(group)]
		slices.SortFunc(events, func(a, b event) int { return a.at.Compare(b.at) })
		first := func(what string, from time.Time) (event, bool) {
			i := slices.IndexFunc(events, func(e event) bool { return e.what == what && !e.at.Before(from.Truncate(time.Millisecond)) })
			if i < 0 {
				return event{}, false
			}
			return events[i], true
		}
		stood, ok1 := first("stands for election", dead)
		elected, ok2 := first("elected", dead)
		entry, ok3 := first("leads: an entry of its term is committed", elected.at)
		mail, ok4 := first("message accepted", entry.at)
		if !ok1 || !ok2 || !ok3 {
			continue
		}
		p.silence = append(p.silence, stood.silence)
		p.detection = append(p.detection, stood.at.Sub(dead))
		p.election = append(p.election, elected.at.Sub(stood.at))
		p.entry = append(p.entry, entry.at.Sub(elected.at))
		if ok4 { // no keeper may be in this group
			p.accepted = append(p.accepted, mail.at.Sub(entry.at))
			p.total = append(p.total, mail.at.Sub(dead))
		}
	}
	p.events = nil
}

func (p phases) String() string {
	var b strings.Builder
	for _, part := range []struct {
		name string
		took []time.Duration
	}{
		{"last heartbeat to the first candidate", p.silence}, {"kill to the first candidate", p.detection}, {"votes", p.election},
		{"the new leader's first entry", p.entry}, {"until mail is accepted", p.accepted}, {"kill to mail accepted", p.total},
	} {
		fmt.Fprintf(&b, "  %-38s %s\n", part.name, quantiles(part.took))
	}
	return b.String()
}

func quantiles(took []time.Duration) string {
	if len(took) == 0 {
		return "never seen"
	}
	took = slices.Sorted(slices.Values(took))
	at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1)+0.5)].Round(time.Millisecond) }
	return fmt.Sprintf("p50 %v, p99 %v, max %v of %d", at(0.5), at(0.99), at(1), len(took))
}

// logged is how much a node has logged.
func (s *site) logged(k int) int64 {
	st, err := os.Stat(s.path(space(k) + ".log"))
	if err != nil {
		return 0
	}
	return st.Size()
}

// logLines is what a node has logged since then.
func (s *site) logLines(k int, from int64) [][]byte {
	b, _ := os.ReadFile(s.path(space(k) + ".log"))
	return bytes.Split(b[min(from, int64(len(b))):], []byte("\n"))
}

// ledBy is the groups that a node leads, as another member says.
func (s *site) ledBy(k int) (groups []int) {
	for _, m := range s.members() {
		r, err := s.status(m)
		if err != nil {
			continue
		}
		for _, g := range r.Groups {
			if g.Leader == space(k) {
				groups = append(groups, g.Group)
			}
		}
		return groups
	}
	return nil
}
