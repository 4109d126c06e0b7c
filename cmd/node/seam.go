//go:build !chaos

package node

import (
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The product has no seams: its clock and its disk are the machine's, its reads
// pass the barrier, and nothing is made small.
const noBarrier = false

func systemClock() func() time.Time { return time.Now }

func systemDisk() vfs.FS { return vfs.Default }

func systemTuning(t tuning) tuning { return t }
