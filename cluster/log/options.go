package log

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"rookery"
)

const (
	defaultSegmentSize = 64 << 20
	defaultSpares      = 2
	defaultMaxFlush    = 4 << 20
	defaultCacheBytes  = 8 << 20
	defaultDiskBudget  = 16 << 30
	minSegmentSize     = 64 << 10
	maxSegmentSize     = 1 << 30
	stallAfter         = 5 * time.Second
)

// Options configures Open. Only Dir is needed.
type Options struct {
	// Dir holds everything the log writes. One process at a time: it is locked.
	Dir string
	// FS is the file system; vfs.Default if nil. Where its files have a real
	// descriptor, bodies are written from the caller's memory without a copy.
	FS vfs.FS
	// Logger receives recovery, retention and damage reports.
	Logger *slog.Logger
	// SegmentSize is the size of new segment files, 64 KiB to 1 GiB, default
	// 64 MiB. Existing files keep their size. An entry must be smaller than
	// half a segment.
	SegmentSize int64
	// Spares is the number of pre-written files kept ready, default 2.
	Spares int
	// MaxFlush bounds the bytes of one group commit, default 4 MiB. A single
	// larger request is still written whole.
	MaxFlush int
	// CacheBytes bounds each group's cache of recent entries, default 8 MiB.
	CacheBytes int64
	// DiskBudget is the size of all segments above which the oldest segments
	// that Raft and all floors released are recycled, default 16 GiB; where the
	// file system has less than SoftFree and an eighth left, it shrinks by what
	// is missing. Where that is not enough, those go that only floors of class
	// Archive hold. Nothing else that is held is ever removed.
	DiskBudget int64
	// Floors are the names under which entries are held, the same in every
	// group, and their classes. nil is the one name BodiesFloor of class Bodies.
	Floors map[string]Class
	// SoftFree and HardFree are the free bytes of the file system below which
	// Stats().Disk reads DiskSoft and DiskHard. 0 switches the limit off.
	SoftFree, HardFree int64
	// OnStall is called once when a write or fsync has been stuck for 5 s or
	// has failed. It should end the process: the default logs and exits with
	// status 1. If it returns, every later write fails with KindUnavailable.
	OnStall func(error)
	// Repair fetches from a peer what its Group.Record(index, term) returns.
	// It is asked when a stored entry fails its checksum. It may be nil.
	Repair func(ctx context.Context, group rookery.GroupID, index rookery.LogIndex, term uint64) ([]byte, error)
}

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, rookery.E("open log", rookery.KindInvalid, fmt.Errorf("Options.Dir is empty: name the directory the log lives in"))
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.SegmentSize == 0 {
		o.SegmentSize = defaultSegmentSize
	}
	if o.SegmentSize < minSegmentSize || o.SegmentSize > maxSegmentSize {
		return o, rookery.E("open log", rookery.KindInvalid,
			fmt.Errorf("Options.SegmentSize %d is outside %d to %d", o.SegmentSize, int64(minSegmentSize), int64(maxSegmentSize)))
	}
	o.SegmentSize = alignUp(o.SegmentSize)
	if o.Spares <= 0 {
		o.Spares = defaultSpares
	}
	if o.MaxFlush <= 0 {
		o.MaxFlush = defaultMaxFlush
	}
	o.MaxFlush = min(o.MaxFlush, int(o.SegmentSize/4))
	if o.CacheBytes <= 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.DiskBudget <= 0 {
		o.DiskBudget = defaultDiskBudget
	}
	if o.OnStall == nil {
		logger := o.Logger
		o.OnStall = func(err error) {
			buf := make([]byte, 64<<10)
			logger.Error("log: the disk failed or does not answer; ending the process so that a healthy node leads", "error", err,
				"goroutines", string(buf[:runtime.Stack(buf, true)]))
			os.Exit(1)
		}
	}
	return o, nil
}
