package log

import (
	"bytes"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// writeJoined writes the vectors as one write.
func writeJoined(f vfs.File, iov [][]byte, off int64) error {
	b := bytes.Join(iov, nil)
	n, err := f.WriteAt(b, off)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}
