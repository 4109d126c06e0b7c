// Package upgrade holds the tests that open what earlier binaries wrote: a data
// directory of each on-disk format lies in testdata, and the binary of today
// must show all its mail as the one that wrote it did, and go on from there.
// It owns those directories and the list of formats they were written in; it
// never changes a directory that was released, and is imported by nothing.
//
// `make format NAME=2026-11` keeps a directory of today's format. That is to be
// done when TestFormats says that a format has changed. The name is new once
// the former has been released.
package upgrade
