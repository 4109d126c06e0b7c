//go:build !linux

package log

import "github.com/cockroachdb/pebble/v2/vfs"

func writeAll(f vfs.File, iov [][]byte, off int64) error { return writeJoined(f, iov, off) }
