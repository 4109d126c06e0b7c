// Package objects is the way of message bodies into the object store and back.
//
// It opens the store that the cluster's settings name and follows them while
// the node runs; it packs the bodies of the groups here, reads them back, and
// deletes what is garbage: packs that are dead and kept by no hold, objects that
// no group knows, and mail that was expunged long ago. It checks packs, and mends
// them from other copies. It owns the holds on stored bytes, the cache on this
// node's disk, and how far a group's log may be recycled. It never decides where
// a body belongs, which is its group's machine's, and deletes nothing for its
// age while the clocks of the cluster do not agree.
//
// What has no node works too: a store is tried (Try), and indexed after a
// disaster (RebuildIndex), by the command line alone.
package objects
