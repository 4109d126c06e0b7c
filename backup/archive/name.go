package archive

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"rookery"
	"rookery/storage/blob"
)

// SegmentInfo is what a segment's name tells.
type SegmentInfo struct {
	Group rookery.GroupID
	// First to Last are the entries of the log that it covers, also those that had
	// no need of being in it.
	First, Last rookery.LogIndex
	// From and To are the group times of the first and the last entry in it, unix
	// nanoseconds.
	From, To int64
	// Size is the object's, in bytes.
	Size int64
}

const (
	segments = "seg/"
	images   = "img/"
	manifest = "/manifest"
)

// Key is the segment's name in the store. Names sort by group and log index.
func (s *SegmentInfo) Key() string {
	return fmt.Sprintf("%s%08x/%016x-%016x-%016x-%016x", segments, uint32(s.Group),
		uint64(s.First), uint64(s.Last), uint64(s.From), uint64(s.To))
}

// ParseSegment reads a segment's name; ok is false for what is none.
func ParseSegment(key string) (s SegmentInfo, ok bool) {
	var group uint32
	var first, last, from, to uint64
	n, err := fmt.Sscanf(key, segments+"%08x/%016x-%016x-%016x-%016x", &group, &first, &last, &from, &to)
	s = SegmentInfo{
		Group: rookery.GroupID(group), First: rookery.LogIndex(first), Last: rookery.LogIndex(last), From: int64(from), To: int64(to),
	}
	return s, err == nil && n == 5 && first <= last && from <= to && s.Key() == key
}

// ImageInfo is what the name of an image's manifest tells.
type ImageInfo struct {
	Group rookery.GroupID
	// Index is the last entry in it, Time its group time, unix nanoseconds.
	Index rookery.LogIndex
	Time  int64
	// Size is the manifest's, in bytes.
	Size int64
}

func (i *ImageInfo) dir() string {
	return fmt.Sprintf("%s%08x/%016x-%016x", images, uint32(i.Group), uint64(i.Index), uint64(i.Time))
}

// Key is the name of the image's manifest, Part that of one of its parts.
func (i *ImageInfo) Key() string { return i.dir() + manifest }

// Part is the name of a part, counted from 0.
func (i *ImageInfo) Part(n int) string { return fmt.Sprintf("%s/part-%06d", i.dir(), n) }

// Prefix begins the names of all objects of the image.
func (i *ImageInfo) Prefix() string { return i.dir() + "/" }

// ParseImage reads the name of a manifest; ok is false for what is none.
func ParseImage(key string) (i ImageInfo, ok bool) {
	dir, is := strings.CutSuffix(key, manifest)
	var group uint32
	var index, time uint64
	n, err := fmt.Sscanf(dir, images+"%08x/%016x-%016x", &group, &index, &time)
	i = ImageInfo{Group: rookery.GroupID(group), Index: rookery.LogIndex(index), Time: int64(time)}
	return i, is && err == nil && n == 3 && i.Key() == key
}

// ParsePart reads the name of a part of an image; ok is false for what is none. The
// image's size is not known then.
func ParsePart(key string) (i ImageInfo, n int, ok bool) {
	at := strings.LastIndexByte(key, '/')
	if at < 0 {
		return i, 0, false
	}
	if i, ok = ParseImage(key[:at] + manifest); !ok {
		return i, 0, false
	}
	c, err := fmt.Sscanf(key[at:], "/part-%06d", &n)
	return i, n, err == nil && c == 1 && i.Part(n) == key
}

// Segments lists the segments of a group in the store, in the order of the log.
func Segments(ctx context.Context, s blob.Store, group rookery.GroupID) (all []SegmentInfo, err error) {
	err = s.List(ctx, fmt.Sprintf("%s%08x/", segments, uint32(group)), func(i blob.Info) error {
		if x, ok := ParseSegment(i.Key); ok {
			x.Size = i.Size
			all = append(all, x)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b SegmentInfo) int { return strings.Compare(a.Key(), b.Key()) })
	return all, err
}

// Images lists the whole images of a group in the store, the oldest first. group 0 is
// all groups.
func Images(ctx context.Context, s blob.Store, group rookery.GroupID) (all []ImageInfo, err error) {
	prefix := images
	if group != 0 {
		prefix = fmt.Sprintf("%s%08x/", images, uint32(group))
	}
	err = s.List(ctx, prefix, func(i blob.Info) error {
		if x, ok := ParseImage(i.Key); ok {
			x.Size = i.Size
			all = append(all, x)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b ImageInfo) int { return strings.Compare(a.Key(), b.Key()) })
	return all, err
}
