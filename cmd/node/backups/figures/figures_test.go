package figures

import (
	"strings"
	"testing"

	"rookery/cmd/node/adminapi"
)

// TestLagBecomesAnAlarm: what waits is told the more urgently the older it is, also where
// the group's error is told; what an idle group does is not.
func TestLagBecomesAnAlarm(t *testing.T) {
	for name, c := range map[string]struct {
		lag     float64
		pending uint64
		failed  string
		want    string
	}{
		"nothing waits":                {0, 0, "", ""},
		"an old time, nothing waits":   {900, 0, "", ""},
		"a minute":                     {60, 9, "", ""},
		"over a minute":                {61, 9, "", "warning: the archive of group 7 is 1m1s behind"},
		"an idle group's few":          {75, 1, "", ""},
		"few for long":                 {91, 1, "", "warning:"},
		"over a minute, and it fails":  {61, 9, "no", "warning:"},
		"five minutes":                 {300, 9, "", "warning:"},
		"over five minutes":            {301, 1, "", "alarm: the archive of group 7 is 5m1s behind"},
		"over five minutes, and fails": {400, 9, "no", "alarm:"},
	} {
		told := Problems(&adminapi.BackupStatus{Groups: []adminapi.BackupGroup{{Group: 7, Lag: c.lag, Pending: c.pending, Error: c.failed}}})
		if text := strings.Join(told, "|"); c.want == "" && text != "" || !strings.HasPrefix(text, c.want) || len(told) > 1 {
			t.Errorf("%s: %q, want %q", name, text, c.want)
		}
	}
}
