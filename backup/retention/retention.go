// Package retention says what of an archive is kept: every second of a window, and a
// point of each day, week, month and year before it. It is pure: it reads no store and
// deletes nothing. Where anything is not as it expects, everything is kept.
package retention

import (
	"time"

	"rookery"
	"rookery/backup/archive"
)

// Rules are what is kept. A point is one image: before the window only its own second
// can be restored.
type Rules struct {
	// Window is how far back every second can be restored.
	Window time.Duration
	// Daily to Yearly are for how many of each, back from now, the newest image of each
	// is kept.
	Daily, Weekly, Monthly, Yearly int
	// Zone is where days begin.
	Zone *time.Location
}

// Kept is what is needed of one group's archive.
type Kept struct {
	// Images are kept, the oldest first; Points are those of them before the window.
	Images, Points []archive.ImageInfo
	// Gone are images that nothing needs, and segments.
	GoneImages   []archive.ImageInfo
	GoneSegments []archive.SegmentInfo
}

// tooFar is how far in the future an image may be before nothing is deleted: a clock is
// wrong.
const tooFar = time.Hour

// Decide says what is kept of a group's images and segments, each the oldest first.
func Decide(now time.Time, r Rules, images []archive.ImageInfo, segments []archive.SegmentInfo) Kept {
	all := Kept{Images: images}
	from := now.Add(-r.Window).UnixNano()
	base := -1
	for i, x := range images {
		if x.Time > now.Add(tooFar).UnixNano() {
			return all
		}
		if x.Time <= from {
			base = i
		}
	}
	if base < 0 || r.Window <= 0 {
		return all // every second of the window needs the oldest
	}
	kept := Kept{}
	points := r.points(now, images[:base])
	for i, x := range images {
		switch {
		case i >= base:
			kept.Images = append(kept.Images, x)
		case points[i]:
			kept.Images, kept.Points = append(kept.Images, x), append(kept.Points, x)
		default:
			kept.GoneImages = append(kept.GoneImages, x)
		}
	}
	for _, s := range segments {
		if s.Last <= images[base].Index {
			kept.GoneSegments = append(kept.GoneSegments, s)
		}
	}
	return kept
}

// points picks, by position, the newest image of each span that is kept.
func (r *Rules) points(now time.Time, images []archive.ImageInfo) map[int]bool {
	zone := r.Zone
	if zone == nil {
		zone = time.UTC
	}
	picked := map[int]bool{}
	for _, span := range []struct {
		most int
		back func(t time.Time, n int) time.Time // the beginning of the n-th span before that of t
	}{
		{r.Daily, func(t time.Time, n int) time.Time { return date(t).AddDate(0, 0, -n) }},
		{r.Weekly, func(t time.Time, n int) time.Time {
			return date(t).AddDate(0, 0, -(int(t.Weekday())+6)%7-7*n) // weeks begin on Monday
		}},
		{r.Monthly, func(t time.Time, n int) time.Time { return date(t).AddDate(0, 0, 1-t.Day()).AddDate(0, -n, 0) }},
		{r.Yearly, func(t time.Time, n int) time.Time { return date(t).AddDate(0, 0, 1-t.YearDay()).AddDate(-n, 0, 0) }},
	} {
		end := now.In(zone).Add(time.Nanosecond)
		for n := range span.most {
			begin := span.back(now.In(zone), n)
			for i := len(images) - 1; i >= 0; i-- {
				if t := time.Unix(0, images[i].Time); !t.Before(begin) && t.Before(end) {
					picked[i] = true
					break
				}
			}
			end = begin
		}
	}
	return picked
}

func date(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
}

// Oldest is from when on every second can be restored, unix nanoseconds, as the names
// tell: the time of the oldest image from which segments lead to the end. Both are in the
// order of the log, and segments may overlap; 0 where there is no image.
func Oldest(images []archive.ImageInfo, segments []archive.SegmentInfo) int64 {
	if len(images) == 0 {
		return 0
	}
	var first, upto rookery.LogIndex // first is the entry from which on nothing lacks
	for _, x := range segments {
		if x.First > upto+1 {
			first = x.First
		}
		upto = max(upto, x.Last)
	}
	last := images[len(images)-1]
	if last.Index > upto {
		first = last.Index + 1
	}
	for _, x := range images {
		if x.Index+1 >= first {
			return x.Time
		}
	}
	return last.Time
}
