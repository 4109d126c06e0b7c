package consensus

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"rookery"
)

// raftLogger passes the library's messages to our logger.
func raftLogger(logger *slog.Logger, group rookery.GroupID) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Name: "raft", Level: hclog.Warn, Output: io.Discard})
	l.RegisterSink(&logSink{logger: logger.With("group", group), said: map[string]time.Time{}})
	return l
}

// sayAgain is how long one message of the library is kept back after it was
// passed on: a peer that is away is an error many times a second to it.
const sayAgain = 30 * time.Second

type logSink struct {
	logger *slog.Logger
	mu     sync.Mutex
	said   map[string]time.Time // the library's texts are few and constant
}

func (s *logSink) fresh(msg string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if at, ok := s.said[msg]; ok && now.Sub(at) < sayAgain {
		return false
	}
	s.said[msg] = now
	return true
}

// Accept implements hclog.SinkAdapter.
//
// Its warnings are the ordinary life of a group (elections, logs that differ);
// its errors are mostly a peer that is away.
func (s *logSink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	switch {
	case level >= hclog.Error:
		to = slog.LevelWarn
	case level >= hclog.Warn:
		to = slog.LevelInfo
	}
	if !s.logger.Enabled(context.Background(), to) || !s.fresh(msg) {
		return
	}
	attrs := make([]any, 0, len(args))
	for i := 0; i+1 < len(args); i += 2 {
		value := args[i+1]
		if f, ok := value.(hclog.Format); ok && len(f) > 0 {
			value = fmt.Sprintf(fmt.Sprint(f[0]), f[1:]...)
		}
		attrs = append(attrs, slog.Any(fmt.Sprint(args[i]), value))
	}
	s.logger.Log(context.Background(), to, "raft: "+msg, attrs...)
}
