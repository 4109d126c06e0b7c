package backups

import (
	"time"

	"rookery"
	"rookery/cmd/node/settings"
)

// apart is how much later each group's image is made than the one before it.
const apart = 20 * time.Second

// lastNight is the last time before now at which a group's image was due.
func lastNight(now time.Time, set *settings.Backup, id rookery.GroupID) time.Time {
	local := now.In(set.Zone())
	at := set.NightlyAt()
	for back := range 2 {
		day := local.AddDate(0, 0, -back)
		due := time.Date(day.Year(), day.Month(), day.Day(), int(at/time.Hour), int(at%time.Hour/time.Minute), 0, 0, local.Location())
		if due = due.Add(time.Duration(id%30) * apart); !due.After(now) {
			return due
		}
	}
	return now.Add(-48 * time.Hour) // the day before yesterday, at the latest
}
