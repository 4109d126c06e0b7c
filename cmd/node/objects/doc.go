// Package objects opens the object store that the cluster's settings name, and
// follows them while the node runs.
//
// It owns which driver is used and where a store of kind dir lies, the trial of
// a store before it is relied on, the mark by which nodes notice that their
// directories are not one, and the store in force, whose keys and endpoint may
// change under those who use it. It never decides what is put into the store or
// deleted from it, and it needs no node: a store is tried, and indexed after a
// disaster, by the command line alone.
package objects
