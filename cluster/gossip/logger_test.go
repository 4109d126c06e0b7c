package gossip

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever can send packets to the port must not be able to fill the log.
func TestPacketsDoNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := &lineLogger{to: slog.New(slog.NewTextHandler(&out, nil))}
		for range 10_000 {
			fmt.Fprintf(l, "[ERR] memberlist: discarding packet %s\n", strings.Repeat("x", 5000))
		}
		if n := bytes.Count(out.Bytes(), []byte("\n")); n != lineBurst || out.Len() > n*(lineLen+200) {
			t.Errorf("10,000 packets wrote %d lines, %d bytes", n, out.Len())
		}
		out.Reset()
		time.Sleep(lineEvery)
		fmt.Fprint(l, "[WARN] memberlist: something else\n")
		fmt.Fprint(l, "[DEBUG] memberlist: nothing\n")
		if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "something else") ||
			!strings.Contains(got, fmt.Sprintf("skipped=%d", 10_000-lineBurst)) {
			t.Errorf("a second later: %s", got)
		}
	})
}
