// Package upgrade holds the tests that open what earlier binaries wrote: a data
// directory of each on-disk format lies in testdata, and the binary of today
// must show all its mail as the one that wrote it did, and go on from there.
// It owns those directories and the list of formats they were written in; it
// never changes a directory that was released, and is imported by nothing.
//
// `make format NAME=2026-11` keeps a directory of today's format (about a minute).
// That is to be done when TestFormats says that a format has changed. Until the
// first release formats change freely: remove what lies in testdata and make
// one directory anew. After it nothing is removed, and the name is new.
package upgrade
