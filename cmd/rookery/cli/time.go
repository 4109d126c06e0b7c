package cli

import (
	"strconv"
	"strings"
	"time"
)

// ParseTime reads a time, or a span before now.
func ParseTime(name, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(strings.TrimPrefix(text, "-")); err == nil && d >= 0 { // 2h and -2h are alike
		return now.Add(-d), nil
	}
	if n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(text, "-"), "d")); err == nil && n >= 0 && strings.HasSuffix(text, "d") {
		return now.AddDate(0, 0, -n), nil
	}
	for _, form := range []string{time.RFC3339, "2006-01-02"} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, Usagef("-%s %q is no time; write it like 2026-11-25, 2026-11-25T08:00:00Z or 72h", name, text)
}
