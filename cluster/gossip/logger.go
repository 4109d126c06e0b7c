package gossip

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Bounds on what memberlist may write into the log: it has a line for every
// packet that it cannot read, and anybody can send those.
const (
	lineBurst = 10
	lineEvery = time.Second
	lineLen   = 300
)

// lineLogger takes memberlist's lines, one a Write, to a slog.Logger. What
// it calls an error is a warning here: nothing of gossip is needed for mail.
type lineLogger struct {
	to *slog.Logger

	mu      sync.Mutex
	next    time.Time // when all of the burst may be used again
	skipped int
}

func (l *lineLogger) Write(p []byte) (int, error) {
	line := string(bytes.TrimSpace(p))
	level := slog.LevelInfo
	for mark, lv := range map[string]slog.Level{
		"[DEBUG] ": slog.LevelDebug, "[INFO] ": slog.LevelDebug, "[WARN] ": slog.LevelWarn, "[ERR] ": slog.LevelWarn, "[ERROR] ": slog.LevelWarn,
	} {
		if rest, ok := strings.CutPrefix(line, mark); ok {
			line, level = rest, lv
			break
		}
	}
	if !l.to.Enabled(context.Background(), level) {
		return len(p), nil
	}
	if skipped, ok := l.admit(time.Now()); ok {
		line = strings.TrimPrefix(line[:min(len(line), lineLen)], "memberlist: ")
		l.to.Log(context.Background(), level, "gossip", "event", line, "skipped", skipped)
	}
	return len(p), nil
}

// admit lets a burst of lines through and then one each lineEvery; skipped is
// how many were left out before this one.
func (l *lineLogger) admit(now time.Time) (skipped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next.Before(now) {
		l.next = now
	}
	if l.next.Sub(now) > (lineBurst-1)*lineEvery {
		l.skipped++
		return 0, false
	}
	l.next = l.next.Add(lineEvery)
	skipped, l.skipped = l.skipped, 0
	return skipped, true
}
