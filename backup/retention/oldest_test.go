package retention

import (
	"testing"

	"rookery"
	"rookery/backup/archive"
)

// TestOldestRestorableSecond: it is that of the oldest image from which segments lead to
// the end, whatever is pruned, written twice or lost.
func TestOldestRestorableSecond(t *testing.T) {
	type span [2]rookery.LogIndex
	for name, c := range map[string]struct {
		images   []rookery.LogIndex // their time is their index
		segments []span
		want     int64
	}{
		"nothing":                  {nil, nil, 0},
		"an image alone":           {[]rookery.LogIndex{5}, nil, 5},
		"whole":                    {[]rookery.LogIndex{5, 12}, []span{{6, 10}, {11, 20}}, 5},
		"points before":            {[]rookery.LogIndex{2, 5, 12}, []span{{6, 10}, {11, 20}}, 5},
		"written twice":            {[]rookery.LogIndex{5, 12}, []span{{6, 10}, {8, 9}, {11, 20}, {15, 20}}, 5},
		"a segment lacks":          {[]rookery.LogIndex{5, 12, 18}, []span{{6, 10}, {15, 20}}, 18},
		"a gap that an image ends": {[]rookery.LogIndex{5, 30}, []span{{6, 10}, {31, 40}}, 30},
		"the end lacks":            {[]rookery.LogIndex{5, 30}, []span{{6, 10}}, 30},
	} {
		var images []archive.ImageInfo
		var segments []archive.SegmentInfo
		for _, i := range c.images {
			images = append(images, archive.ImageInfo{Group: 2, Index: i, Time: int64(i)})
		}
		for _, s := range c.segments {
			segments = append(segments, archive.SegmentInfo{Group: 2, First: s[0], Last: s[1]})
		}
		if got := Oldest(images, segments); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
