// Package sealed is the form of every object in the backup store: frames, each
// compressed and encrypted by itself so that a part can be read alone, and a
// footer that says where they lie and whatever its writer wants to know first.
//
// It owns the form, and that an object opens only where it was written: under the
// same cluster, kind and name. What is cut, changed, swapped or another cluster's
// is found out and named. It never decides what is in an object, keeps no key and
// no object in memory longer than its caller does.
//
// An object is
//
//	"RKBACK1\n" | frames | footer | trailer
//
// where frames and footer are AES-256-GCM over zstd. The trailer has the lengths of
// footer and trailer, format, kind, version of the archive key, and the salt by
// which the object's own key is derived from that (HKDF-SHA-256, RFC 5869). Every
// frame is bound to the trailer, to its number and to the object's name.
package sealed
