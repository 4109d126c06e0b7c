package gossip

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
)

// lineLogger takes memberlist's lines, one a Write, to a slog.Logger. What
// it calls an error is a warning here: nothing of gossip is needed for mail.
type lineLogger struct{ to *slog.Logger }

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
	l.to.Log(context.Background(), level, "gossip", "event", strings.TrimPrefix(line, "memberlist: "))
	return len(p), nil
}
