package tlspolicy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rookery"
)

// Mode is what a policy asks for (RFC 8461 5).
type Mode uint8

// The modes. Testing never keeps mail back.
const (
	NoMode Mode = iota // "none": as if there were no policy
	Testing
	Enforce
)

func (m Mode) String() string { return [...]string{"none", "testing", "enforce"}[m] }

// STS is a domain's policy, as it is kept.
type STS struct {
	// ID is that of the TXT record with which it was fetched.
	ID   string
	Mode Mode
	// MX are names of hosts in A-labels and lower case, or "*." and a name.
	MX []string
	// Fetched is when it was fetched, Until when it ends.
	Fetched, Until time.Time
}

// old says that half of the policy's time is over.
func (p *STS) old(now time.Time) bool { return now.Sub(p.Fetched) >= p.Until.Sub(p.Fetched)/2 }

// The bounds of a policy.
const (
	maxPolicy = 64 << 10 // octets (RFC 8461 3.3)
	maxMX     = 100      // names
	maxNames  = 8 << 10  // octets of all, with one for each besides
	maxAge    = 31557600 // seconds, a year (RFC 8461 3.2)
)

// Lists says whether the policy names a host. A wildcard stands for one label
// (RFC 8461 4.1).
func (p *STS) Lists(host string) bool {
	_, parent, _ := strings.Cut(host, ".")
	for _, m := range p.MX {
		if m == host || parent != "" && m == "*."+parent {
			return true
		}
	}
	return false
}

// parseID reads the TXT records at _mta-sts (RFC 8461 3.1). There is a policy
// where exactly one of them begins with the version.
func parseID(texts []string) (id string, ok bool) {
	found := 0
	for _, t := range texts {
		fields := strings.Split(t, ";")
		if strings.TrimSpace(fields[0]) != "v=STSv1" {
			continue
		}
		found++
		id = ""
		for _, f := range fields[1:] {
			if key, value, _ := strings.Cut(strings.TrimSpace(f), "="); key == "id" && id == "" {
				id = value
			}
		}
	}
	return id, found == 1 && len(id) <= 32 && alphanumeric(id)
}

func alphanumeric(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != ""
}

// parse reads a policy (RFC 8461 3.2). Of a field that stands twice the first
// counts; fields that are not known are passed over.
func parse(text string, now time.Time) (STS, error) {
	fields := map[string]string{}
	var p STS
	names := 0
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		key, value = strings.TrimSpace(key), strings.Trim(value, " \t")
		if !ok {
			continue
		}
		if key == "mx" {
			host, err := pattern(value)
			if err != nil {
				return STS{}, err
			}
			if len(p.MX) == maxMX {
				return STS{}, fmt.Errorf("the policy has more than %d mx", maxMX)
			}
			if names += len(host) + 1; names > maxNames {
				return STS{}, fmt.Errorf("the mx of the policy are larger than %d octets", maxNames)
			}
			p.MX = append(p.MX, host)
			continue
		}
		if _, again := fields[key]; !again {
			fields[key] = value
		}
	}
	modes := map[string]Mode{"none": NoMode, "testing": Testing, "enforce": Enforce}
	mode, known := modes[fields["mode"]]
	age, err := strconv.ParseUint(fields["max_age"], 10, 64)
	switch {
	case fields["version"] != "STSv1":
		return STS{}, fmt.Errorf("the policy has the version %.40q", fields["version"])
	case !known:
		return STS{}, fmt.Errorf("the policy has the mode %.40q", fields["mode"])
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return STS{}, fmt.Errorf("the policy has the max_age %.40q", fields["max_age"])
	case mode != NoMode && len(p.MX) == 0:
		return STS{}, errors.New("the policy names no mx")
	}
	p.Mode = mode
	p.Until = now.Add(time.Duration(min(age, maxAge)) * time.Second)
	return p, nil
}

// pattern is the value of mx.
func pattern(s string) (string, error) {
	name, wild := strings.CutPrefix(s, "*.")
	host, err := rookery.NormalDomain(name)
	if err != nil || strings.ContainsAny(host, "*[") {
		return "", fmt.Errorf("the policy has the mx %.100q", s)
	}
	if wild {
		host = "*." + host
	}
	return host, nil
}
