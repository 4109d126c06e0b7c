package retention

import (
	"math/rand/v2"
	"testing"
	"time"

	"rookery"
	"rookery/backup/archive"
)

// years makes the archive of a group: an image a night, and a segment for each hour.
func years(from time.Time, nights int) (images []archive.ImageInfo, segments []archive.SegmentInfo) {
	index := rookery.LogIndex(1)
	for n := range nights {
		night := from.AddDate(0, 0, n)
		images = append(images, archive.ImageInfo{Group: 2, Index: index, Time: night.UnixNano()})
		for h := range 24 {
			at := night.Add(time.Duration(h) * time.Hour)
			segments = append(segments, archive.SegmentInfo{Group: 2, First: index + 1, Last: index + 10, From: at.UnixNano() + 1,
				To: at.Add(59 * time.Minute).UnixNano()})
			index += 10
		}
	}
	return images, segments
}

func TestEverySecondOfTheWindowAndEachPoint(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 30 {
		r := Rules{Window: time.Duration(1+rng.IntN(40)) * 24 * time.Hour, Daily: rng.IntN(60), Weekly: rng.IntN(10), Monthly: rng.IntN(14),
			Yearly: rng.IntN(3), Zone: zone}
		begin := time.Date(2024, 1, 1, 2, 30, 0, 0, zone)
		images, segments := years(begin, 700)
		lastImages := 0
		for night := 30; night < 700; night += 1 + rng.IntN(40) { // prunes now and then
			now := begin.AddDate(0, 0, night).Add(time.Duration(rng.IntN(86400)) * time.Second)
			var have []archive.ImageInfo
			for _, x := range images {
				if x.Time <= now.UnixNano() {
					have = append(have, x)
				}
			}
			k := Decide(now, r, have, segments)
			wholeWindow(t, now, r.Window, k.Images, minus(segments, k.GoneSegments))
			if len(k.GoneImages) > 0 && k.GoneImages[len(k.GoneImages)-1].Time > now.Add(-r.Window).UnixNano() {
				t.Fatal("an image of the window goes")
			}
			gone := map[rookery.LogIndex]bool{}
			for _, x := range k.GoneImages {
				gone[x.Index] = true
			}
			var rest []archive.ImageInfo
			for _, x := range images {
				if !gone[x.Index] {
					rest = append(rest, x)
				}
			}
			images, segments, lastImages = rest, minus(segments, k.GoneSegments), len(k.Points)
			if most := r.Daily + r.Weekly + r.Monthly + r.Yearly; lastImages > most {
				t.Fatalf("%d points are kept, at most %d are wished", lastImages, most)
			}
		}
	}
}

func minus(all, gone []archive.SegmentInfo) (rest []archive.SegmentInfo) {
	is := map[rookery.LogIndex]bool{}
	for _, s := range gone {
		is[s.First] = true
	}
	for _, s := range all {
		if !is[s.First] {
			rest = append(rest, s)
		}
	}
	return rest
}

// wholeWindow wants a chain for times of the window: an image, and segments from it on.
func wholeWindow(t *testing.T, now time.Time, window time.Duration, images []archive.ImageInfo, segments []archive.SegmentInfo) {
	t.Helper()
	for back := time.Duration(0); back <= window; back += 7 * time.Hour {
		at := now.Add(-back).UnixNano()
		var upto rookery.LogIndex
		for _, x := range images {
			if x.Time <= at {
				upto = x.Index
			}
		}
		if upto == 0 {
			if images[0].Time == time.Date(2024, 1, 1, 2, 30, 0, 0, images0Zone(images)).UnixNano() {
				continue // before there was an archive
			}
			t.Fatalf("%v cannot be restored: no image", time.Unix(0, at))
		}
		for _, s := range segments {
			if s.Last <= upto || s.From > at {
				continue
			}
			if s.First != upto+1 {
				t.Fatalf("%v cannot be restored: entries from %d on are missing", time.Unix(0, at), upto+1)
			}
			upto = s.Last
		}
	}
}

func images0Zone([]archive.ImageInfo) *time.Location {
	zone, _ := time.LoadLocation("Europe/Berlin")
	return zone
}

func TestWhatIsDoubtfulStays(t *testing.T) {
	begin := time.Date(2026, 1, 1, 2, 30, 0, 0, time.UTC)
	images, segments := years(begin, 60)
	r := Rules{Window: 10 * 24 * time.Hour, Daily: 3}
	for name, c := range map[string]struct {
		now    time.Time
		images []archive.ImageInfo
		rules  Rules
	}{
		"the clock is set back":            {begin.AddDate(0, 0, 20), images, r},
		"no image is as old as the window": {begin.AddDate(0, 0, 59), images[55:], r},
		"there is no image":                {begin.AddDate(0, 0, 59), nil, r},
		"no window is known":               {begin.AddDate(0, 0, 59), images, Rules{}},
	} {
		if k := Decide(c.now, c.rules, c.images, segments); len(k.GoneImages)+len(k.GoneSegments) > 0 {
			t.Errorf("%s: %d images and %d segments go", name, len(k.GoneImages), len(k.GoneSegments))
		}
	}
	// 15 days ahead: the window is other days, and what it needs stays.
	k := Decide(begin.AddDate(0, 0, 75), r, images, segments)
	if len(k.Images) == 0 || k.Images[len(k.Images)-1] != images[59] {
		t.Error("the newest image goes")
	}
}
