// Package archive writes what a group agrees on into the backup store: segments of
// its log, a few seconds each, and images of its state, from which on segments are
// replayed. It also knows both forms, which package past reads.
//
// It owns that what is archived has neither a gap nor a double: the group's own row
// (command.Archived) says how far the archive is, and moves only when the segment
// is in the store. What could not be archived, because its log is gone, is a gap: it
// is recorded in the image that ends it. A body rides in a segment only where no
// pack holds it by then. It never decides what is restored or for how long the
// archive is kept, and opens no message.
package archive
