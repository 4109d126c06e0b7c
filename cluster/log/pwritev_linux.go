package log

import (
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

const maxVectors = 1024 // IOV_MAX

// writeAll writes the vectors one after the other at off: with a descriptor
// from where they lie, else joined, so that a test file system sees one write.
func writeAll(f vfs.File, iov [][]byte, off int64) error {
	fd := f.Fd()
	if fd == vfs.InvalidFd {
		return writeJoined(f, iov, off)
	}
	for len(iov) > 0 {
		k := min(len(iov), maxVectors)
		n, err := unix.Pwritev(int(fd), iov[:k], off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrShortWrite
		}
		off += int64(n)
		iov = advance(iov, n)
	}
	return nil
}

// advance drops the first n bytes. Vectors are copied before they are cut.
func advance(iov [][]byte, n int) [][]byte {
	for len(iov) > 0 && n >= len(iov[0]) {
		n -= len(iov[0])
		iov = iov[1:]
	}
	if n > 0 {
		rest := make([][]byte, len(iov))
		copy(rest, iov)
		rest[0] = rest[0][n:]
		return rest
	}
	return iov
}
